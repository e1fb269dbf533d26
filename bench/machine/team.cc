#include "bench/machine/team.h"

#include <span>

namespace flopledger {
namespace {

/// Sends a text, its length first: an empty message is none.
void SendText(Link& link, int64_t to, const std::string& text) {
  const int64_t size[] = {static_cast<int64_t>(text.size())};
  link.Exchange(std::as_bytes(std::span(size)), to, {}, to);
  link.Exchange(std::as_bytes(std::span(text)), to, {}, to);
}

std::string ReceiveText(Link& link, int64_t from) {
  int64_t size[] = {0};
  link.Exchange({}, from, std::as_writable_bytes(std::span(size)), from);
  std::string text(static_cast<std::size_t>(size[0]), '\0');
  link.Exchange({}, from, std::as_writable_bytes(std::span(text)), from);
  return text;
}

}  // namespace

std::string Broadcast(Link& link, const std::string& text) {
  const auto [rank, P] = link.shard();
  if (rank > 0) return ReceiveText(link, 0);
  for (int64_t r = 1; r < P; ++r) SendText(link, r, text);
  return text;
}

std::vector<std::string> Gather(Link& link, const std::string& text) {
  const auto [rank, P] = link.shard();
  if (rank > 0) {
    SendText(link, 0, text);
    return {};
  }
  std::vector<std::string> texts{text};
  for (int64_t r = 1; r < P; ++r) texts.push_back(ReceiveText(link, r));
  return texts;
}

void Barrier(Link& link) {
  // The dissemination barrier (Hensgen, Finkel and Manber 1988): log2 P rounds.
  const auto [rank, P] = link.shard();
  const std::byte out[1] = {};
  std::byte in[1];
  for (int64_t distance = 1; distance < P; distance *= 2) {
    link.Exchange(out, (rank + distance) % P, in, (rank + P - distance) % P);
  }
}

Leader::~Leader() {
  if (at_work_) return;
  try {
    Send({});
  } catch (const std::exception&) {  // they are gone: nobody is left to be told
  }
}

void Leader::Send(const Order& order) {
  for (int64_t r = 1; r < link_.shard().ranks; ++r) {
    link_.Exchange(std::as_bytes(std::span(&order, 1)), r, {}, r);
  }
}

Order NextOrder(Link& link) {
  Order order;
  link.Exchange({}, 0, std::as_writable_bytes(std::span(&order, 1)), 0);
  return order;
}

}  // namespace flopledger
