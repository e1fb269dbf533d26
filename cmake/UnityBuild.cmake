# With CMAKE_UNITY_BUILD=ON (the presets release and asan-ubsan set it, dev does not) the files of a
# library are compiled several at a time: their headers are read and their templates instantiated once
# a unit, not once a file. Kernels keep to their files: what is timed must not depend on how it was
# built.

# flopledger_unity(target): units of the target's sources in their order, which keeps folders together.
# A unit holds at most `FLOPLEDGER_UNITY_FILES` files, so that two cores finish together.
set(FLOPLEDGER_UNITY_FILES 20)
function(flopledger_unity target)
  set_target_properties(${target} PROPERTIES
    UNITY_BUILD_MODE BATCH UNITY_BUILD_BATCH_SIZE ${FLOPLEDGER_UNITY_FILES})
endfunction()
