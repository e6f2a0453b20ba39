// images.hpp: one image request on its worker, from its body to its answer.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "server/server.hpp"

namespace falproxy::app {

class ImageTask final : public Task {
 public:
  struct Admission {
    const Route* route;
    std::shared_ptr<const Rules> rules;
    std::string request_id;
    std::string client;         ///< the access key's name
    std::string common_fields;  ///< of every answer: CORS, x-request-id
    Server::InFlight in_flight;
    RateLimiter::Permit permit;
    bool mostly_waits;  ///< see Task
  };
  ImageTask(Server& server, Admission admission);

  [[nodiscard]] bool mostly_waits() const noexcept override { return admission_.mostly_waits; }
  Answer serve(Exchange& exchange) override;

 private:
  [[nodiscard]] Result<openai::ImageRequest> read(Exchange& exchange);
  [[nodiscard]] Result<openai::ImageRequest> read_json(Exchange& exchange);
  [[nodiscard]] Result<openai::ImageRequest> read_form(Exchange& exchange);
  Answer explain(Exchange& exchange, const openai::ImageRequest& request);
  Answer whole(Exchange& exchange, openai::ImageRequest request);
  Answer streamed(Exchange& exchange, openai::ImageRequest request);
  [[nodiscard]] std::vector<Body> events_of(const Exchange& exchange,
                                            const Result<openai::ImageResponse>& answer);
  Answer failure(Exchange& exchange, Error error);

  [[nodiscard]] CallContext context(Exchange& exchange) const;
  /// What the client is told where the request was stopped but the client is there: the server
  /// stops.
  [[nodiscard]] Error explained(const Exchange& exchange, Error error) const;
  void done(const Exchange& exchange, int status, const Error* error);
  [[nodiscard]] openai::ImageOperation operation() const noexcept;

  Server& server_;
  const Admission admission_;
  BodyMemory::Share memory_;
  RequestRecord record_;
};

/// When the request has to be answered: what the client says it waits for, but at most
/// REQUEST_TIMEOUT_SECONDS.
[[nodiscard]] TimePoint deadline_of(const RequestHead& head, TimePoint began,
                                    Seconds request_timeout);

/// The client may silently send the same request again: an SDK's, or one with an Idempotency-Key.
[[nodiscard]] bool may_repeat(const RequestHead& head);

}  // namespace falproxy::app
