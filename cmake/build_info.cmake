# Run at every build: writes build_info.cc with the commit as it stands, and only if it changed.
execute_process(COMMAND git describe --always --dirty --abbrev=10 --exclude=*
  WORKING_DIRECTORY ${SOURCE_DIR} OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE
  ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(COMMIT unknown)
endif()
# What a calibration was taken of, and by: the sources that decide how fast an op is, and those that
# measure it.
file(GLOB sources ${SOURCE_DIR}/kernels/*.cc ${SOURCE_DIR}/kernels/*.h ${SOURCE_DIR}/model/forward.h
  ${SOURCE_DIR}/bench/calibration/*.cc ${SOURCE_DIR}/bench/calibration/*.h)
set(digests "")
foreach(source IN LISTS sources)
  file(SHA256 ${source} digest)
  string(APPEND digests ${digest})
endforeach()
string(SHA256 KERNELS "${digests}")
string(SUBSTRING ${KERNELS} 0 12 KERNELS)
configure_file(${SOURCE_DIR}/bench/machine/build_info.cc.in ${OUTPUT} @ONLY)
