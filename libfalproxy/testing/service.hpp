// service.hpp: who may ask for what, and what goes wrong with it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "answers.hpp"
#include "documents.hpp"
#include "falproxy/fal_desk.hpp"
#include "faults.hpp"
#include "job_desk.hpp"
#include "platform.hpp"
#include "router.hpp"
#include "storage.hpp"
#include "visit.hpp"

namespace falproxy::inline v0::testing {

/// Not thread-safe: FalDesk locks it.
class Service {
 public:
  /// What is given must outlive the service.
  Service(Timeline& timeline, const DeskOptions& options, const Models& models,
          const PictureEncoder& encoder);
  /// Before the first request.
  void connect(DeskWires& wires, FalDesk::Names names);

  [[nodiscard]] FalDesk::Admission admit(const DeskRequest& head);
  void serve(ExchangeId exchange, const DeskRequest& request);
  void gone(ExchangeId exchange);

  [[nodiscard]] DeskStats stats() const;
  void reset_stats();
  [[nodiscard]] FaultTable& faults() noexcept { return faults_; }
  [[nodiscard]] JobDesk& desk() noexcept { return desk_; }
  [[nodiscard]] const Storage& storage() const noexcept { return storage_; }

 private:
  void serve(const Visit& visit);
  void serve_input(const Visit& visit);
  void serve_job(const Visit& visit);
  void serve_document(const Visit& visit);
  /// The document, with a picture of this falsim's.
  [[nodiscard]] Body with_thumbnail(const Model& model, const std::string& origin) const;
  void serve_elsewhere(ExchangeId exchange, const DeskRequest& request);
  void serve_control(ExchangeId exchange, const DeskRequest& request);
  void control_faults(ExchangeId exchange, const DeskRequest& request);

  /// False: answered with 401.
  [[nodiscard]] bool authorize(const Visit& visit);
  [[nodiscard]] const Fault* strike(const Visit& visit, std::string_view endpoint,
                                    std::string_view prompt);
  /// False: `fault` has answered, or keeps the request from doing its work.
  [[nodiscard]] bool spare(const Visit& visit, std::string_view endpoint, const Fault* fault);
  [[nodiscard]] std::string origin_of(const DeskRequest& request) const;

  const DeskOptions& options_;
  const Models& models_;
  DeskWires* wires_ = nullptr;
  FalDesk::Names names_;
  DeskStats stats_;
  DeskStats counted_before_;  // of the wires, at the last reset
  FaultTable faults_;
  Answers answers_;
  Storage storage_;
  JobDesk desk_;
  RouterDesk router_;
  Platform platform_;
};

}  // namespace falproxy::inline v0::testing
