// sim_wire.hpp: the bytes of one connection to falsim, over TLS if it is so, and every way in which
// a server can misbehave with them.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "falproxy/fal_desk.hpp"
#include "serving/server.hpp"

struct ssl_st;
struct ssl_ctx_st;

namespace falsim {

/// The reactor's thread only.
class SimWire final : public falproxy::serving::Wire {
 public:
  /// `tls`: null for plain http.
  SimWire(int socket, ssl_ctx_st* tls);
  ~SimWire() override;

  [[nodiscard]] std::ptrdiff_t receive(std::span<char> to) override;
  /// Waits on the request's fiber if the answer drips. What is sent on none is no answer of the
  /// desk's and has no fault.
  [[nodiscard]] std::ptrdiff_t send(std::span<const iovec> parts) override;
  void finish() override;

  /// The next answer is `head`: drip_bytes go at a time, and after cut_after bytes of its body the
  /// connection is reset.
  void begin_answer(const falproxy::testing::DeskReply& head);
  /// `100 Continue` is not sent.
  void ignore_expect() noexcept { ignores_expect_ = true; }
  /// Not a byte more; `reset`: it ends with RST in place of FIN.
  void drop(bool reset);

 private:
  [[nodiscard]] std::ptrdiff_t send_plainly(std::span<const iovec> parts);
  /// As the fault of this answer has it.
  [[nodiscard]] std::ptrdiff_t send_some(std::string_view bytes);

  std::unique_ptr<ssl_st, void (*)(ssl_st*)> ssl_;
  bool ignores_expect_ = false;
  bool dropped_ = false;
  std::size_t drip_bytes_ = 0;
  falproxy::Milliseconds drip_tick_{0};
  std::optional<std::size_t> cut_after_;
  std::size_t head_bytes_ = 0;  // 0: not known yet
  std::size_t sent_ = 0;        // of the answer
};

}  // namespace falsim
