# With CMAKE_UNITY_BUILD=ON (the presets release and asan-ubsan set it, dev does not) the files of a
# folder are compiled as one: their headers are read and their templates instantiated once, not once
# a file. Kernels keep to their files: what is timed must not depend on how it was built.

# flopledger_unity(target): one unit for each folder of the target's sources. Units hold at most
# `FLOPLEDGER_UNITY_FILES` files, so that two cores finish together.
set(FLOPLEDGER_UNITY_FILES 6)
function(flopledger_unity target)
  get_target_property(sources ${target} SOURCES)
  set_target_properties(${target} PROPERTIES UNITY_BUILD_MODE GROUP)
  foreach(source IN LISTS sources)
    cmake_path(GET source PARENT_PATH folder)
    string(MD5 key "${folder}")
    if(NOT DEFINED files_${key})
      set(files_${key} 0)
    endif()
    math(EXPR group "${files_${key}} / ${FLOPLEDGER_UNITY_FILES}")
    math(EXPR files_${key} "${files_${key}} + 1")
    cmake_path(GET folder FILENAME name)
    set_source_files_properties(${source} TARGET_DIRECTORY ${target} PROPERTIES
      UNITY_GROUP ${name}_${group})
  endforeach()
endfunction()
