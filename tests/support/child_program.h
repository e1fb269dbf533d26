// A program as a child of the test, its standard streams in files.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.h"
#include "tests/support/wait.h"

namespace flopledger {

class Child {
 public:
  /// Runs `program` with `words` as its arguments.
  Child(const TemporaryFolder& folder, const std::string& program, std::vector<std::string> words)
      : Child(folder, [&] {
          words.insert(words.begin(), program);
          std::vector<char*> argv;
          for (std::string& word : words) argv.push_back(word.data());
          argv.push_back(nullptr);
          execv(program.c_str(), argv.data());
          return 127;
        }) {}

  /// Runs `work`, which must use no thread, and ends with its result.
  Child(const TemporaryFolder& folder, const std::function<int()>& work)
      : out_(folder.path("child.stdout")), err_(folder.path("child.stderr")) {
    pid_ = fork();
    if (pid_ != 0) return;
    for (const auto& [path, descriptor] : {std::pair(out_, 1), std::pair(err_, 2)}) {
      dup2(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666), descriptor);
    }
    _exit(work());
  }
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    Wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  std::string out() const { return ReadFile(out_); }
  std::string err() const { return ReadFile(err_); }
  void Interrupt() const { kill(pid_, SIGINT); }
  /// Waits until it has said so on standard error.
  bool Says(const std::string& text) const {
    return ComesTrue([&] { return err().find(text) != std::string::npos; });
  }
  /// Its exit code; of a signal that ended it, the negative number.
  int Wait() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }

 private:
  std::string out_, err_;
  pid_t pid_ = 0;
};

}  // namespace flopledger
