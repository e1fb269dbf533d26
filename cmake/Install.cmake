install(TARGETS flopledger bench_forward bench_matmul bench_attention bench_elementwise
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
