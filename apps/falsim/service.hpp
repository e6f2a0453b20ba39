// service.hpp: who may ask for what, and what goes wrong with it. The same handler serves the
// program, the demo and every test.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "answers.hpp"
#include "documents.hpp"
#include "falsim.hpp"
#include "faults.hpp"
#include "http_server.hpp"
#include "job_desk.hpp"
#include "storage.hpp"
#include "visit.hpp"

namespace falsim {

/// The loop's thread only.
class Service final : public HttpServer::Handler {
 public:
  /// The numbers of the server's listeners.
  enum Listener : std::size_t { main = 0, run = 1, elsewhere = 2 };
  struct Addresses {
    std::string scheme;
    std::string elsewhere;       ///< origin
    std::string main_authority;  ///< host:port
  };

  /// Options and models must outlive the service.
  Service(EventLoop& loop, const FalsimOptions& options, const Models& models);
  /// Before the first request.
  void connect(HttpServer& server, Addresses addresses);

  HttpServer::Admission on_head(const Request& head) override;
  void on_request(ExchangeId exchange, Request request) override;
  void on_gone(ExchangeId exchange) override;

  [[nodiscard]] FalsimStats stats() const;
  void reset_stats();
  [[nodiscard]] FaultTable& faults() noexcept { return faults_; }
  [[nodiscard]] JobDesk& desk() noexcept { return desk_; }
  [[nodiscard]] const Storage& storage() const noexcept { return storage_; }

 private:
  void serve(const Visit& visit);
  void serve_input(const Visit& visit);
  void serve_job(const Visit& visit);
  void serve_document(const Visit& visit);
  void serve_elsewhere(ExchangeId exchange, const Request& request);
  void serve_control(ExchangeId exchange, const Request& request);
  void control_faults(ExchangeId exchange, const Request& request);

  /// False: answered with 401.
  [[nodiscard]] bool authorize(const Visit& visit);
  [[nodiscard]] const Fault* strike(const Visit& visit, std::string_view endpoint,
                                    std::string_view prompt);
  /// False: `fault` has answered, or keeps the request from doing its work.
  [[nodiscard]] bool spare(const Visit& visit, std::string_view endpoint, const Fault* fault);
  [[nodiscard]] std::string origin_of(const Request& request) const;

  EventLoop& loop_;
  const FalsimOptions& options_;
  const Models& models_;
  HttpServer* server_ = nullptr;
  Addresses addresses_;
  FalsimStats stats_;
  HttpServer::Counts counted_before_;  // the last reset
  FaultTable faults_;
  Answers answers_;
  Storage storage_;
  JobDesk desk_;
};

}  // namespace falsim
