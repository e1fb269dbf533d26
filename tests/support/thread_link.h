// Ranks as threads of one process: what MPI does, without it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "model/collectives.h"

namespace flopledger {

/// The messages on their way between ranks.
class Mail {
 public:
  using Message = std::vector<std::byte>;

  void Send(int64_t from, int64_t to, std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    on_way_[{from, to}].emplace_back(bytes.begin(), bytes.end());
    arrived_.notify_all();
  }
  Message Receive(int64_t from, int64_t to) {
    std::unique_lock lock(mutex_);
    auto& queue = on_way_[{from, to}];
    const bool came =
        arrived_.wait_for(lock, std::chrono::minutes(2), [&] { return !queue.empty(); });
    if (!came) throw std::runtime_error("a message that was waited for did not come");
    Message message = std::move(queue.front());
    queue.pop_front();
    return message;
  }
  bool IsEmpty() const {
    for (const auto& [way, queue] : on_way_) {
      if (!queue.empty()) return false;
    }
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<std::pair<int64_t, int64_t>, std::deque<Message>> on_way_;
};

class ThreadLink : public Link {
 public:
  ThreadLink(Mail& mail, const Shard& shard) : mail_(mail), shard_(shard) {}

  Shard shard() const override { return shard_; }
  void Exchange(std::span<const std::byte> out, int64_t to, std::span<std::byte> in,
                int64_t from) override {
    if (!out.empty()) mail_.Send(shard_.rank, to, out);
    sent_bytes += static_cast<int64_t>(out.size());
    if (in.empty()) return;
    const Mail::Message message = mail_.Receive(from, shard_.rank);
    if (message.size() != in.size()) throw std::runtime_error("a message of another size");
    std::memcpy(in.data(), message.data(), in.size());
  }

  int64_t sent_bytes = 0;

 private:
  Mail& mail_;
  Shard shard_;
};

/// Calls work(link) for each rank, each in a thread of its own, and throws what one of them threw.
template <class Work>
void RunRanks(int64_t ranks, const Work& work) {
  Mail mail;
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        ThreadLink link(mail, {rank, ranks});
        work(link);
      } catch (...) {
        errors[static_cast<std::size_t>(rank)] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  if (!mail.IsEmpty()) throw std::runtime_error("a message was sent that nobody received");
}

}  // namespace flopledger
