# What `cmake --install` puts down, and the Debian package that `cpack -G DEB` makes of it.
install(TARGETS flopledger bench_forward bench_matmul bench_attention bench_elementwise
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

if(TARGET flopledger-mpi)
  install(TARGETS flopledger-mpi RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# The man page and the completions are written by the program itself, from its options.
set(manual ${PROJECT_BINARY_DIR}/manual)
set(flopledger_manual_files "")
function(flopledger_manual form file destination)
  add_custom_command(OUTPUT ${manual}/${file}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${manual}
    COMMAND flopledger manual ${form} --out ${manual}/${file}
    DEPENDS flopledger VERBATIM)
  install(FILES ${manual}/${file} DESTINATION ${destination})
  set(flopledger_manual_files ${flopledger_manual_files} ${manual}/${file} PARENT_SCOPE)
endfunction()
flopledger_manual(man flopledger.1 ${CMAKE_INSTALL_MANDIR}/man1)
flopledger_manual(bash flopledger ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
flopledger_manual(zsh _flopledger ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
flopledger_manual(fish flopledger.fish ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
add_custom_target(flopledger_manual ALL DEPENDS ${flopledger_manual_files})

set(documents ${CMAKE_INSTALL_DATADIR}/doc/flopledger)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md
  ${PROJECT_SOURCE_DIR}/CHANGELOG.md DESTINATION ${documents})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples DESTINATION ${documents})

if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()

set(CPACK_PACKAGE_NAME flopledger)
set(CPACK_PACKAGE_CONTACT "The FlopLedger authors <flopledger@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "FLOPs and seconds of a transformer's forward pass on a CPU")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_GENERATOR DEB)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
# `gate --baseline-ref` builds revisions; the libraries are for comparison.
set(CPACK_DEBIAN_PACKAGE_SUGGESTS
  "git, cmake, linux-perf, libopenblas0-openmp, libblis4-openmp, libdnnl2 | libdnnl3")
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/PackageNeeds.cmake)
include(CPack)
