// transport.hpp: how falproxy reaches fal. `HttpTransport` of falproxy::http is the real one;
// `RecordingTransport` of falproxy::testing shows how one wraps another.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <stop_token>
#include <string>
#include <string_view>

#include "falproxy/clock.hpp"
#include "falproxy/http.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0 {

/// Why there is no answer. An answer of any HTTP status is a success.
enum class TransportFault {
  unreachable,  ///< no connection (name, refusal, TLS): nothing of the request was sent
  interrupted,  ///< the connection broke after sending began: the request may have arrived
  timed_out,    ///< the deadline passed
  cancelled,    ///< stop was requested, or the sink asked to end
  too_large,    ///< the body is larger than the sink takes
};
/// As written above.
[[nodiscard]] std::string_view name_of(TransportFault value) noexcept;

/// Why an exchange ended without a whole answer.
struct TransportError {
  TransportFault fault = TransportFault::interrupted;  ///< decides, with nothing_sent, whether a
                                                       ///< submit may be sent again
  std::string message = {};                            ///< for logs; holds no header and no body
  /// True if it is certain that the server has seen no byte of the request.
  bool nothing_sent = false;
  /// But for the message.
  bool operator==(const TransportError& other) const noexcept {
    return fault == other.fault && nothing_sent == other.nothing_sent;
  }
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const TransportError& error);

/// Where an answer goes, byte by byte. Called on the thread that called send(), never after send()
/// has returned.
class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  /// Before the first byte of the body. False ends the exchange (`cancelled`).
  virtual bool head(HttpHead head) = 0;
  /// The next bytes of the body, decoded from transfer coding. False ends the exchange
  /// (`cancelled`).
  virtual bool data(std::string_view bytes) = 0;
};

/// Thread-safe: any number of threads may send at once.
class Transport {
 public:
  virtual ~Transport() = default;

  /// One request, one answer. Redirects are not followed. A POST or PUT is put on the wire at most
  /// once. The request must outlive the call. `stop` ends it from another thread within
  /// milliseconds.
  [[nodiscard]] virtual Result<Done, TransportError> send(const HttpRequest& request,
                                                          TimePoint deadline, std::stop_token stop,
                                                          ResponseSink& sink) = 0;
};

/// Collects an answer, at most `max_bytes` of it. Errors: those of send(), and too_large.
[[nodiscard]] Result<HttpResponse, TransportError> fetch(Transport& transport,
                                                         const HttpRequest& request,
                                                         TimePoint deadline, std::stop_token stop,
                                                         std::size_t max_bytes);

}  // namespace falproxy::inline v0
