#include <iostream>

#include "bench/cli/cli.h"

int main(int argc, char** argv) {
  return flopledger::RunCli({argv + 1, argv + argc}, std::cout, std::cerr);
}
