# Run by cpack. Without these it would make a package that names no library it needs.
foreach(program dpkg-shlibdeps file)
  find_program(found_${program} ${program})
  if(NOT found_${program})
    message(FATAL_ERROR "cpack needs '${program}': install dpkg-dev and file")
  endif()
endforeach()
