#include "exchange.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "falproxy/body_source.hpp"
#include "http1.hpp"

namespace falproxy::inline v0 {
namespace {

// A held stream sends little and late, an image much at once: the buffer is small until more is
// known to come.
constexpr std::size_t small_buffer = 4u << 10;
constexpr std::size_t large_buffer = 64u << 10;
// Of reads without a wait between them: what shares the thread (SocketWaiter) is to have its turn.
constexpr int most_at_once = 16;

class Exchange {
 public:
  Exchange(Connection& connection, const HttpRequest& request, bool to_proxy, TimePoint deadline,
           ResponseSink& sink)
      : connection_(connection),
        buffer_(connection.buffer()),
        request_(request),
        to_proxy_(to_proxy),
        deadline_(deadline),
        sink_(sink) {}

  ExchangeEnd run(std::string_view head) {
    const std::size_t sent_before = connection_.sent_bytes();
    Result<Done, IoError> written = connection_.write(head, request_.body.pieces(), deadline_);
    if (written && request_.source != nullptr) written = write_source(*request_.source);
    end_.nothing_sent = connection_.sent_bytes() == sent_before;
    if (!written) {
      fail(written.error());
      if (source_is_lost_) return end_;
      // A server may answer and close before it has read everything.
      if (end_.nothing_sent || end_.kind == ExchangeEnd::Kind::timed_out) return end_;
    }
    const ExchangeEnd write_failure = end_;
    std::optional<http1::ResponseHead> response = read_head();
    if (!response) return written ? end_ : write_failure;
    if (to_proxy_ && response->head.status == 407) {
      end_.kind = ExchangeEnd::Kind::proxy_refused;
      return end_;
    }
    end_.kind = ExchangeEnd::Kind::complete;
    http1::BodyDecoder decoder(response->framing, response->length);
    const bool keep_alive = response->keep_alive && written;
    if (!sink_.head(std::move(response->head))) end_.kind = ExchangeEnd::Kind::refused;
    const bool whole = end_.kind == ExchangeEnd::Kind::complete && pass_on_body(decoder);
    const bool over = whole || (end_.kind == ExchangeEnd::Kind::refused && ends_at_once(decoder));
    end_.reusable = over && keep_alive && buffer_.bytes().empty();
    buffer_.release_if_larger(small_buffer);
    return end_;
  }

 private:
  Result<Done, IoError> write_source(const BodySource& source) {
    constexpr std::size_t at_once = 256u << 10;
    for (std::uint64_t at = 0; at < source.size();) {
      const std::string piece = source.read(at, at_once);
      source_is_lost_ = piece.empty();
      if (source_is_lost_) return IoError{.what = "the request's body cannot be read any more"};
      if (Result<Done, IoError> written = connection_.write(piece, {}, deadline_); !written)
        return written;
      at += piece.size();
    }
    return Done{};
  }
  void fail(const IoError& error) {
    end_.kind = error.fault == IoFault::timed_out ? ExchangeEnd::Kind::timed_out
                                                  : ExchangeEnd::Kind::interrupted;
    end_.what = error.what;
    end_.system_error = error.system_error;
  }
  void fail(const http1::Malformed& malformed) {
    end_.kind = ExchangeEnd::Kind::interrupted;
    end_.what = malformed.what;
  }

  std::optional<http1::ResponseHead> read_head() {
    while (true) {
      if (Result<Done, IoError> ready = wait_readable(); !ready) {
        fail(ready.error());
        return std::nullopt;
      }
      const Result<std::size_t, IoError> n = connection_.fill(small_buffer);
      if (!n) {
        fail(n.error());
        return std::nullopt;
      }
      if (*n == 0) continue;
      end_.answer_began = true;
      Result<std::optional<http1::ResponseHead>, http1::Malformed> head =
          http1::read_response_head(buffer_.bytes(), request_.method);
      if (!head) {
        fail(head.error());
        return std::nullopt;
      }
      if (!*head) continue;
      buffer_.drop_front((*head)->bytes);
      return *std::move(head);
    }
  }

  Result<Done, IoError> wait_readable() {
    const Milliseconds silence = request_.max_silence;
    if (end_.answer_began) connection_.acknowledge();
    if (silence <= Milliseconds::zero()) return connection_.wait_readable(deadline_);
    return connection_.wait_readable(
        std::min(deadline_, std::chrono::steady_clock::now() + silence));
  }

  // True where the body is complete.
  bool pass_on_body(http1::BodyDecoder& decoder) {
    int at_once = 0;  // reads that filled the buffer, one after the other
    while (true) {
      std::string_view bytes = buffer_.bytes();
      const std::size_t held = bytes.size();
      for (std::string_view payload = decoder.take(bytes); !payload.empty();
           payload = decoder.take(bytes)) {
        if (!sink_.data(payload)) {
          end_.kind = ExchangeEnd::Kind::refused;
          break;
        }
      }
      buffer_.drop_front(held - bytes.size());
      if (end_.kind == ExchangeEnd::Kind::refused) return false;
      if (decoder.complete()) return true;
      if (decoder.malformed()) {
        fail(http1::Malformed{"the answer's chunks are broken"});
        return false;
      }
      const bool more_at_once = at_once > 0 && at_once % most_at_once != 0;
      if (!more_at_once) {
        buffer_.release_if_empty();
        if (Result<Done, IoError> ready = wait_readable(); !ready) {
          fail(ready.error());
          return false;
        }
      }
      const bool much = at_once > 0 || decoder.expected() > small_buffer;
      const Result<std::size_t, IoError> n = connection_.fill(much ? large_buffer : small_buffer);
      if (!n) {
        if (n.error().fault == IoFault::closed && decoder.may_end_here()) return true;
        fail(n.error());
        return false;
      }
      at_once = *n > 0 && buffer_.is_full() ? at_once + 1 : 0;
    }
  }

  // The sink has what it wanted, an event of a stream, say. Where nothing but the answer's last
  // bytes is left, the connection can go on; another one would cost more than this moment.
  bool ends_at_once(http1::BodyDecoder& decoder) {
    constexpr Milliseconds moment{2};
    const TimePoint until = std::min(deadline_, std::chrono::steady_clock::now() + moment);
    while (true) {
      std::string_view bytes = buffer_.bytes();
      const std::size_t held = bytes.size();
      while (!decoder.take(bytes).empty()) {
      }
      buffer_.drop_front(held - bytes.size());
      if (decoder.complete()) return true;
      if (decoder.malformed() || decoder.may_end_here() || decoder.expected() > small_buffer)
        return false;
      if (std::chrono::steady_clock::now() >= until || !connection_.wait_readable(until) ||
          !connection_.fill(small_buffer))
        return false;
    }
  }

  Connection& connection_;
  ReadBuffer& buffer_;
  const HttpRequest& request_;
  const bool to_proxy_;
  TimePoint deadline_;
  ResponseSink& sink_;
  bool source_is_lost_ = false;
  ExchangeEnd end_;
};

}  // namespace

ExchangeEnd run_exchange(Connection& connection, std::string_view head, const HttpRequest& request,
                         bool to_proxy, TimePoint deadline, ResponseSink& sink) {
  return Exchange(connection, request, to_proxy, deadline, sink).run(head);
}

}  // namespace falproxy::inline v0
