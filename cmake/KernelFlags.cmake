# The flags of everything that sees Eigen: one SIMD level throughout, because Eigen's inline
# functions must not be compiled twice in different ways.
include(CheckCXXCompilerFlag)

set(FLOPLEDGER_KERNEL_FLAGS "")
if(FLOPLEDGER_ARCH)
  check_cxx_compiler_flag(-march=${FLOPLEDGER_ARCH} FLOPLEDGER_HAS_MARCH)
  if(FLOPLEDGER_HAS_MARCH)
    list(APPEND FLOPLEDGER_KERNEL_FLAGS -march=${FLOPLEDGER_ARCH})
  else()
    message(FATAL_ERROR "the compiler does not take -march=${FLOPLEDGER_ARCH} (FLOPLEDGER_ARCH)")
  endif()
endif()

# g++ 12 tunes for AMD's Zen by splitting Eigen's micro-kernel badly. Eigen's product of
# 1024×4800×1600 on one Zen 4 core: 0.71 of the FMA peak with -march=native alone, 0.86 with
# -mtune=haswell beside it, 0.87 with clang 14; tuned for Skylake it is as fast as for Haswell. No other
# compiler or processor was seen to gain.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13
    AND FLOPLEDGER_ARCH STREQUAL "native" AND EXISTS /proc/cpuinfo)
  file(STRINGS /proc/cpuinfo amd REGEX "^vendor_id.*AuthenticAMD" LIMIT_COUNT 1)
  if(amd)
    list(APPEND FLOPLEDGER_KERNEL_FLAGS -mtune=haswell)
  endif()
endif()

message(STATUS "FlopLedger: kernels compiled with ${CMAKE_CXX_COMPILER_ID} "
               "${CMAKE_CXX_COMPILER_VERSION} ${FLOPLEDGER_KERNEL_FLAGS}")

# Kernels, and what fills their weights, are worth the time that -O3 takes to compile. All else waits
# for them, for files or for the user. Under the sanitizers (the preset's type is Debug) optimising it
# takes longer than its tests, and so do checks of every pointer where the address sanitizer looks too.
set(FLOPLEDGER_PLAIN_FLAGS $<$<CONFIG:Release>:-Og>
  $<$<CONFIG:Debug>:-O0 -fno-sanitize=null,alignment,vptr,object-size>)
