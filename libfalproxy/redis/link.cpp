#include "link.hpp"

#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <span>
#include <stop_token>
#include <utility>

#include "base/fmt.hpp"

namespace falproxy::inline v0::redis {
namespace {

constexpr std::size_t read_at_once = 16u << 10;
constexpr std::string_view separate = "\r\n";

std::string place_of(const StateAddress::Host& host) {
  return fmt::format("{}:{}", host.name, host.port);
}

LinkError error_of(const IoError& error, const std::string& place) {
  return {fmt::format("{} cannot be reached: {}.", place, error.what),
          error.fault == IoFault::timed_out};
}

}  // namespace

Link::Link(const StateAddress& address, std::shared_ptr<const TlsContext> tls)
    : address_(address), tls_(std::move(tls)), resolver_(waiter_) {}

void Link::close() noexcept {
  connection_.reset();
  reader_.reset();
}

bool Link::is_stale() { return connection_ != nullptr && !connection_->is_quiet(); }

Result<Done, LinkError> Link::connect_to(const StateAddress::Host& host, TimePoint deadline) {
  const std::string place = place_of(host);
  const auto addresses = resolver_.resolve(host.name, host.port, deadline, std::stop_token());
  if (!addresses) {
    return LinkError{fmt::format("{} cannot be found: {}.", place, addresses.error().what),
                     addresses.error().timed_out};
  }
  auto opened = Connection::open(*addresses, deadline, std::stop_token(), waiter_);
  if (!opened) return error_of(opened.error(), place);
  connection_ = *std::move(opened);
  if (address_.tls) {
    if (auto shaken = connection_->start_tls(*tls_, host.name, session_, deadline); !shaken) {
      close();
      return error_of(shaken.error(), place);
    }
  }
  reader_ = std::make_unique<ReplyReader>();
  return Done{};
}

Result<Done, LinkError> Link::connect_to_socket(TimePoint deadline) {
  Address address;
  auto& socket = reinterpret_cast<sockaddr_un&>(address.storage);
  socket.sun_family = AF_UNIX;
  address_.socket.copy(socket.sun_path, sizeof(socket.sun_path) - 1);
  address.size = sizeof(sockaddr_un);
  auto opened = Connection::open(std::span(&address, 1), deadline, std::stop_token(), waiter_);
  if (!opened) return error_of(opened.error(), address_.socket);
  connection_ = *std::move(opened);
  reader_ = std::make_unique<ReplyReader>();
  return Done{};
}

Result<StateAddress::Host, LinkError> Link::find_master(TimePoint deadline) {
  LinkError last{"No Sentinel is named."};
  const auto count = static_cast<int>(address_.hosts.size());
  for (int i = 0; i < count; ++i) {
    const auto now = std::chrono::steady_clock::now();
    // One that is silent must not use up the time of the others.
    const TimePoint share = now + (deadline - now) / (count - i + 1);
    const StateAddress::Host& sentinel = address_.hosts[static_cast<std::size_t>(i)];
    std::vector<Reply> answers;
    auto asked = connect_to(sentinel, share);
    if (asked) {
      asked = exchange(command_of({"SENTINEL", "get-master-addr-by-name", address_.master}), 1,
                       share, answers);
    }
    close();
    if (!asked) {
      last = std::move(asked).error();
      continue;
    }
    const Reply& answer = answers.front();
    StateAddress::Host master{.name = answer.at(0).text};
    const std::string& port = answer.at(1).text;
    const auto [end, fault] = std::from_chars(port.data(), port.data() + port.size(), master.port);
    if (!master.name.empty() && fault == std::errc() && end == port.data() + port.size())
      return master;
    last.message = fmt::format("The Sentinel at {} knows no master of the name in STATE_URL.",
                               place_of(sentinel));
  }
  return last;
}

Result<Done, LinkError> Link::open(TimePoint deadline) {
  close();
  Result<Done, LinkError> connected = Done{};
  std::string place = address_.socket;
  if (!address_.socket.empty()) {
    connected = connect_to_socket(deadline);
  } else if (address_.master.empty()) {
    place = place_of(address_.hosts.front());
    connected = connect_to(address_.hosts.front(), deadline);
  } else {
    const auto master = find_master(deadline);
    if (!master) return master.error();
    place = place_of(*master);
    connected = connect_to(*master, deadline);
  }
  if (connected) connected = greet(deadline);
  if (!connected) {
    close();
    connected.error().message = fmt::format("{} (Redis at {})", connected.error().message, place);
  }
  return connected;
}

Result<Done, LinkError> Link::greet(TimePoint deadline) {
  std::string commands;
  std::size_t count = 0;
  const auto say = [&](const std::vector<std::string>& words) {
    commands += command_of(words);
    ++count;
  };
  if (!address_.password.empty()) {
    std::vector<std::string> words{"AUTH"};
    if (!address_.user.empty()) words.push_back(address_.user);
    words.emplace_back(address_.password.reveal());
    say(words);
  }
  if (address_.database != 0) say({"SELECT", std::to_string(address_.database)});
  say({"INFO", "replication"});
  say({"INFO", "cluster"});
  for (std::size_t i = 0; i < script_count; ++i)
    say({"SCRIPT", "LOAD", text_of(static_cast<Script>(i))});
  std::vector<Reply> answers;
  if (auto said = exchange(commands, count, deadline, answers); !said) return said;
  for (const Reply& answer : answers) {
    if (answer.kind == Reply::Kind::error) return LinkError{refusal_of(answer)};
  }
  const auto says = [](const Reply& answer, std::string_view line) {
    return answer.text.find(std::string(separate) + std::string(line) + std::string(separate)) !=
           std::string::npos;
  };
  const std::size_t first = answers.size() - script_count - 2;
  if (says(answers[first], "role:slave"))
    return LinkError{"It is a replica, and takes no writes; STATE_URL must name the master."};
  if (says(answers[first + 1], "cluster_enabled:1")) {
    return LinkError{
        "It is a Redis Cluster, which is not supported; STATE_URL must name a single node or "
        "Sentinels."};
  }
  for (std::size_t i = 0; i < script_count; ++i) names_[i] = answers[first + 2 + i].text;
  return Done{};
}

Result<Done, LinkError> Link::exchange(std::string_view commands, std::size_t count,
                                       TimePoint deadline, std::vector<Reply>& answers) {
  const auto fail = [this](LinkError error) {
    close();
    return error;
  };
  traffic_.commands += count;
  traffic_.sent += commands.size();
  ++traffic_.trips;
  if (auto written = connection_->write(commands, {}, deadline); !written)
    return fail(
        {"Redis: " + written.error().what + ".", written.error().fault == IoFault::timed_out});
  while (true) {
    while (std::optional<Reply> reply = reader_->next()) answers.push_back(*std::move(reply));
    if (!reader_->fault().empty()) return fail({"Redis: " + reader_->fault() + "."});
    if (answers.size() >= count) return Done{};
    const auto ready = connection_->wait_readable(deadline);
    const bool is_late = !ready && ready.error().fault == IoFault::timed_out;
    if (!ready && !is_late) return fail({"Redis: " + ready.error().what + "."});
    // What came while this thread had no turn is no less an answer.
    const auto got = connection_->fill(read_at_once);
    if (!got) return fail({"Redis: " + got.error().what + "."});
    if (*got == 0 && is_late) return fail({"Redis did not answer in time.", true});
    traffic_.received += *got;
    ReadBuffer& buffer = connection_->buffer();
    buffer.drop_front(reader_->feed(buffer.bytes()));
    buffer.release_if_larger(4 * read_at_once);
  }
}

}  // namespace falproxy::inline v0::redis
