// worker_exchange.hpp: the Exchange that tasks see, over httplib's way of reading a body. Used
// inside connection/ only.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "connection/connection.hpp"
#include "connection/exchange.hpp"
#include "connection/exchange_stream.hpp"

namespace httplib {
class ContentReader;
struct Response;
}  // namespace httplib

namespace falproxy::app {

class WorkerExchange final : public Exchange {
 public:
  /// `head_text` is the head as it arrived, complete and well formed. `draining`: no connection is
  /// to stay any more.
  WorkerExchange(Connection& connection, std::string_view head_text, std::unique_ptr<Task> task,
                 const std::atomic<bool>& draining, Milliseconds grace);

  // Exchange
  [[nodiscard]] const RequestHead& head() const noexcept override { return head_; }
  [[nodiscard]] TimePoint began() const noexcept override { return began_; }
  [[nodiscard]] std::stop_token stop() const noexcept override { return stop_.get_token(); }
  [[nodiscard]] bool client_left() const noexcept override {
    return connection_.client_left.load();
  }
  void hold_when_client_leaves(Milliseconds hold) override;
  [[nodiscard]] Result<Done> read_body(
      std::size_t max_bytes, const std::function<bool(std::string_view)>& receiver) override;
  [[nodiscard]] Result<Done> read_form(
      std::size_t max_bytes, const std::function<bool(FormPartHead)>& part,
      const std::function<bool(std::string_view)>& receiver) override;
  void start_ticking(Milliseconds interval, std::function<void()> tick) override;
  void stop_ticking() override;
  void begin_early(std::string_view content_type, std::string_view fields) override;
  [[nodiscard]] bool began_early() const noexcept override { return stream_.began_early(); }
  void write_early(std::string_view bytes) override;
  void interject(std::string_view bytes) override;

  // The worker's side.
  [[nodiscard]] ExchangeStream& stream() noexcept { return stream_; }
  /// Runs the task and fills in what httplib is to send. `reader` is null where httplib expects no
  /// body.
  void run(httplib::Response& response, const httplib::ContentReader* reader);
  [[nodiscard]] bool has_run() const noexcept { return has_run_; }
  /// Under this name run() leaves the fields of the head that httplib knows nothing of, each "Name:
  /// value\r\n".
  static constexpr const char* own_fields = "own fields";
  /// The connection ends with this answer.
  [[nodiscard]] bool closes() const noexcept {
    return closes_ || !head_.keep_alive || draining_ || stream_.reads_refused() ||
           (!has_chunks() && stream_.began_early());
  }

  // The loop's side, under the connection's exchange_mutex.
  [[nodiscard]] Milliseconds hold() const noexcept { return hold_; }
  [[nodiscard]] std::stop_source stop_source() const { return stop_; }
  void tick_if_due(TimePoint now);

 private:
  /// The client knows chunks: where it does not, a streamed answer ends with its connection.
  [[nodiscard]] bool has_chunks() const noexcept { return head_.minor_version == 1; }
  [[nodiscard]] Result<Done> body_fault(bool too_large, bool refused);
  [[nodiscard]] Answer serve_task();
  void send(Answer answer, httplib::Response& response);

  Connection& connection_;
  const std::string head_text_;
  RequestHead head_;  // views into head_text_
  const std::atomic<bool>& draining_;
  const TimePoint began_;
  std::unique_ptr<Task> task_;
  ExchangeStream stream_;
  std::stop_source stop_;
  const httplib::ContentReader* reader_ = nullptr;
  bool body_read_ = false;
  bool has_run_ = false;
  bool closes_ = false;

  // Guarded by the connection's exchange_mutex.
  Milliseconds hold_{0};
  std::function<void()> tick_;
  Milliseconds tick_interval_{0};
  TimePoint next_tick_ = TimePoint::max();
};

}  // namespace falproxy::app
