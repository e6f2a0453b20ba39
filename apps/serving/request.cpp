#include "serving/request.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "serving/parking.hpp"

namespace falproxy::serving {
namespace {

// Up to here, what is written goes out together with what follows.
constexpr std::size_t most_kept = 16u << 10;
// So many bytes of one connection, then others have their turn.
constexpr std::size_t turn = 256u << 10;
constexpr std::uint64_t least_rate = 16u << 10;  // bytes per second

bool is_gzip(std::string_view coding) { return coding == "gzip" || coding == "x-gzip"; }

// Undoes Content-Encoding: gzip as the body arrives, a few kilobytes at a time.
class Inflater {
 public:
  Inflater() : begun_(::inflateInit2(&stream_, 16 + MAX_WBITS) == Z_OK) {}
  ~Inflater() { ::inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // False: it is no gzip, it goes on after its end, or `receiver` returned false.
  bool feed(std::string_view bytes, const Request::Receiver& receiver) {
    std::array<char, 4096> out;
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(out.data());
      stream_.avail_out = static_cast<uInt>(out.size());
      const int done = begun_ && !over_ ? ::inflate(&stream_, Z_NO_FLUSH) : Z_DATA_ERROR;
      if (done != Z_OK && done != Z_STREAM_END && done != Z_BUF_ERROR) return false;
      over_ = done == Z_STREAM_END;
      const std::string_view made(out.data(), out.size() - stream_.avail_out);
      if (!made.empty() && !receiver(made)) return false;
    } while (!over_ && stream_.avail_out == 0);
    return stream_.avail_in == 0;
  }
  [[nodiscard]] bool is_over() const noexcept { return over_; }

 private:
  z_stream stream_{};
  bool begun_;
  bool over_ = false;
};

Error fault_of_body(Request::Fault fault) {
  using enum Request::Fault;
  switch (fault) {
    case too_large:
      return {.kind = ErrorKind::body_too_large, .message = "The request's body is too large."};
    case refused:
      return {.kind = ErrorKind::internal, .message = "The request's body was not taken."};
    case slow:
      return {.kind = ErrorKind::request_too_slow,
              .message = "The request's body did not arrive in time."};
    case gone:
      return {.kind = ErrorKind::cancelled,
              .message = "The client left before the request's body was complete."};
    case ended:
      return {.kind = ErrorKind::bad_request_framing,
              .message = "The request ends before its body is complete."};
    case not_gzip:
      return {.kind = ErrorKind::bad_request_framing,
              .message = "The request's body is not whole gzip, as its Content-Encoding says."};
    case none:
    case broken:
      break;
  }
  return {.kind = ErrorKind::bad_request_framing,
          .message = "The request's body cannot be read: its chunks are broken."};
}

}  // namespace

Request::Request(Connection& connection, std::string text)
    : connection_(connection), text_(std::move(text)), began_(steady_now()) {}

Result<Done> Request::parse() {
  Result<Done> parsed = parse_head(text_, head_);
  head_.peer = connection_.peer();
  left_of_body_ = head_.content_length.value_or(0);
  continue_is_due_ = head_.expects_continue && head_.minor_version == 1 && head_.has_body();
  return parsed;
}

Wire& Request::wire() noexcept { return connection_.wire(); }

std::string_view Request::parameter(std::string_view name) const noexcept {
  const auto& all = match.parameters;
  const auto found = std::ranges::find(all, name, &std::pair<std::string_view, std::string>::first);
  return found == all.end() ? std::string_view() : std::string_view(found->second);
}

// ---- the end of a request

void Request::client_has_left() {
  if (left_.exchange(true)) return;
  const auto hold = [this] { connection_.parking().reactor().set(*this, steady_now() + hold_); };
  if (hold_.count() == 0 || !safely(hold)) request_stop();
}

void Request::finish() {
  if (!beside_.is_empty()) request_stop();
  beside_.wait();
  connection_.parking().reactor().cancel(*this);
}

// ---- reading

bool Request::message_is_over() const noexcept {
  return head_.chunked ? chunks_.is_over() : left_of_body_ == 0;
}

// The next piece, which stays in what is pending until it is taken from there. Empty: there is
// none.
bool Request::read_piece(std::string_view& piece) {
  if (std::exchange(continue_is_due_, false) && connection_.pending().empty()) {
    std::array<std::string_view, 1> interim = {"HTTP/1.1 100 Continue\r\n\r\n"};
    if (!send_all(interim)) {
      read_fault_ = write_fault_;
      return false;
    }
  }
  for (piece = {}; !message_is_over(); piece = {}) {
    std::string_view bytes = connection_.pending();
    if (!head_.chunked) {
      piece = bytes.substr(
          0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), left_of_body_)));
      left_of_body_ -= piece.size();
    } else {
      const std::size_t before = bytes.size();
      if (!chunks_.read(bytes, piece)) {
        read_fault_ = Fault::broken;
        return false;
      }
      connection_.take(before - bytes.size() - piece.size());
    }
    if (!piece.empty()) return true;
    if (!message_is_over() && !receive()) return false;
  }
  return true;
}

bool Request::receive() {
  while (true) {
    const std::ptrdiff_t n = connection_.fetch();
    if (n > 0) {
      read_pace_.bytes += static_cast<std::uint64_t>(n);
      take_turn(static_cast<std::size_t>(n));
      return true;
    }
    if (n != Wire::nothing_now) {
      read_fault_ = n == 0 ? Fault::ended : Fault::gone;
      return false;
    }
    if (!wait(read_pace_, read_fault_)) return false;
  }
}

std::optional<Error> Request::fault_of_coding() const {
  const auto is_coding = [](const RequestHead::Field& field) {
    return equal_ignoring_case(field.name, "content-encoding");
  };
  const std::string coding = to_lower(head_.find("content-encoding").value_or(""));
  const bool known = coding.empty() || coding == "identity" || is_gzip(coding);
  if (known && std::ranges::count_if(head_.fields, is_coding) <= 1) return std::nullopt;
  return Error{.kind = ErrorKind::unsupported_content_type,
               .message =
                   "The body's Content-Encoding is not understood; send it as gzip, or without a "
                   "Content-Encoding."};
}

Result<Done> Request::read_body(std::size_t max_bytes, const Receiver& receiver) {
  if (std::optional<Error> fault = fault_of_coding()) {
    reads_refused_ = true;
    return *std::move(fault);
  }
  if (reads_refused_) read_fault_ = Fault::broken;
  std::size_t total = 0;
  const auto take = [&](std::string_view bytes) {
    total += bytes.size();
    if (total > max_bytes) {
      read_fault_ = Fault::too_large;
    } else if (!receiver(bytes)) {
      read_fault_ = Fault::refused;
    }
    return read_fault_ == Fault::none;
  };
  // What is inflated is work, too, however small it was.
  const auto take_inflated = [&](std::string_view bytes) {
    take_turn(bytes.size());
    return take(bytes);
  };
  std::optional<Inflater> inflater;
  if (is_gzip(to_lower(head_.find("content-encoding").value_or("")))) inflater.emplace();
  std::string_view piece;
  while (read_fault_ == Fault::none && read_piece(piece) && !piece.empty()) {
    const bool taken = inflater ? inflater->feed(piece, take_inflated) : take(piece);
    if (!taken && read_fault_ == Fault::none) read_fault_ = Fault::not_gzip;
    connection_.take(piece.size());
  }
  const bool whole = !inflater || inflater->is_over() || !head_.has_body();
  if (!whole && read_fault_ == Fault::none) read_fault_ = Fault::not_gzip;
  if (read_fault_ == Fault::none) return Done{};
  reads_refused_ = true;
  if (read_fault_ == Fault::gone) left_ = true;
  return fault_of_body(read_fault_);
}

// ---- writing

void Request::append_head(std::string& out, std::string_view framing) {
  const bool skippable = !head_.chunked && !continue_is_due_ &&
                         left_of_body_ <= connection_.parking().house().options.max_skipped_body;
  const bool read = message_is_over() || skippable;
  const bool delimited = !framing.empty() || response.status == 204 || response.status == 304;
  stays_ = head_.keep_alive && read && delimited && !reads_refused_ && read_fault_ == Fault::none &&
           !connection_.parking().house().draining.load();
  reads_refused_ = true;
  append_date(out, std::time(nullptr));
  if (!response.content_type.empty()) append_field(out, "Content-Type", response.content_type);
  out.append(framing).append(fields).append(response.fields);
  if (!stays_) {
    append_field(out, "Connection", "close");
  } else if (head_.minor_version == 0) {
    append_field(out, "Connection", "keep-alive");
  }
  out.append("\r\n");
}

bool Request::write_some(std::string_view bytes) {
  if (kept_.size() + bytes.size() > most_kept) return send_after_kept({{}, bytes});
  kept_.append(bytes);
  return is_writable();
}

// One chunk, without a copy of its bytes.
bool Request::write(const Body& body) {
  if (body.empty()) return flush();
  const bool chunked = head_.minor_version == 1 && !response.length.has_value();
  streamed_ += body.size();
  const std::string size = fmt::format("{:x}\r\n", body.size());
  std::vector<std::string_view> parts = {{}};
  if (chunked) parts.push_back(size);
  for (const Piece& piece : body.pieces()) parts.push_back(piece.bytes);
  if (chunked) parts.emplace_back("\r\n");
  return send_after_kept(std::move(parts));
}

// The first of `parts` is the place of what is kept.
bool Request::send_after_kept(std::vector<std::string_view> parts) {
  parts.front() = kept_;
  const bool sent = send_all(parts);
  kept_.clear();
  return sent;
}

bool Request::send_all(std::span<std::string_view> parts) {
  while (write_fault_ == Fault::none) {
    while (!parts.empty() && parts.front().empty()) parts = parts.subspan(1);
    if (parts.empty()) return true;
    std::array<iovec, 16> out;
    std::size_t count = 0;
    std::size_t room = turn;
    for (; count < std::min(out.size(), parts.size()) && room > 0; ++count) {
      const std::string_view part = parts[count].substr(0, room);
      out[count] = {const_cast<char*>(part.data()), part.size()};
      room -= part.size();
    }
    const std::ptrdiff_t sent = connection_.wire().send(std::span(out).first(count));
    if (sent < 0) {
      write_fault_ = Fault::gone;
      return false;
    }
    std::size_t left = static_cast<std::size_t>(sent);
    for (std::string_view& part : parts) {
      const std::size_t n = std::min(left, part.size());
      part.remove_prefix(n);
      left -= n;
    }
    write_pace_.bytes += static_cast<std::uint64_t>(sent);
    if (static_cast<std::size_t>(sent) < turn - room) {
      if (!wait(write_pace_, write_fault_)) return false;
    } else {
      take_turn(static_cast<std::size_t>(sent));
    }
  }
  return false;
}

// Only what the client takes counts: the time in which others had their turn does not.
bool Request::wait(Pace& pace, Fault& fault) {
  const auto worth = Milliseconds(static_cast<std::int64_t>(pace.bytes * 1000 / least_rate));
  const TimePoint before = steady_now();
  const TimePoint until =
      before + connection_.parking().house().options.body_grace + worth - pace.waited;
  const bool ready = until > before && connection_.wait(until);
  pace.waited += steady_now() - before;
  if (!ready) fault = Fault::slow;
  return ready;
}

void Request::take_turn(std::size_t bytes) {
  moved_ += bytes;
  if (moved_ < turn) return;
  moved_ = 0;
  connection_.parking().reactor().yield();
}

}  // namespace falproxy::serving
