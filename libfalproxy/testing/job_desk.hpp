// job_desk.hpp: fal's answers about jobs: submit, status, its stream, result, cancel, fal.run and
// /stream.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "answers.hpp"
#include "documents.hpp"
#include "queue.hpp"
#include "results.hpp"
#include "storage.hpp"
#include "visit.hpp"

namespace falproxy::inline v0::testing {

class JobDesk {
 public:
  JobDesk(Timeline& timeline, Answers& answers, Storage& storage, DeskStats& stats,
          const Models& models, const DeskOptions& options);

  void set_times(Milliseconds queue_time, Milliseconds job_time);
  [[nodiscard]] Milliseconds job_time() const noexcept { return job_time_; }
  void set_elsewhere(std::string origin) { elsewhere_ = std::move(origin); }

  /// The model of a submit, run or /stream; null: no such endpoint.
  [[nodiscard]] const Model* model_of(const Route& route) const;
  [[nodiscard]] std::shared_ptr<Job> find(const Route& route) const {
    return queue_.find(route.request_id, route.app);
  }

  [[nodiscard]] std::shared_ptr<Job> find(std::string_view id) const { return queue_.find(id); }
  /// False: there is none.
  bool forget(std::string_view id) { return queue_.forget(id); }
  /// What is billed for a job that has ended well.
  [[nodiscard]] double units_of(const Job& job) const;

  /// POST of an input. `input`: the parsed body.
  void submit(const Visit& visit, const Model& model, nlohmann::json input,
              const JobChange& change);
  void run(const Visit& visit, const Model& model, nlohmann::json input, const JobChange& change);
  void status(const Visit& visit, const std::shared_ptr<Job>& job);
  void status_stream(const Visit& visit, const std::shared_ptr<Job>& job);
  void result(const Visit& visit, const std::shared_ptr<Job>& job);
  void cancel(const Visit& visit, const std::shared_ptr<Job>& job);
  /// The client of an exchange left.
  void gone(ExchangeId exchange);

  /// A submit or run goes into the account book, whatever became of it.
  void remember(const Visit& visit, std::string_view endpoint, std::string request_id, int status);
  [[nodiscard]] const std::deque<SeenSubmit>& submits() const noexcept { return submits_; }

 private:
  /// An exchange that is answered as its job goes on.
  struct Held {
    std::shared_ptr<Job> job;
    Step step = Step::status_stream;
    std::string origin;
    bool logs = false;
    std::size_t logs_sent = 0;
  };

  [[nodiscard]] std::shared_ptr<Job> make_job(const Visit& visit, const Model& model,
                                              nlohmann::json input, const JobChange& change);
  void changed(const std::shared_ptr<Job>& job);
  void hold(ExchangeId exchange, Held held);
  void release(ExchangeId exchange);
  void tell(ExchangeId exchange);
  void tell_stream(ExchangeId exchange, Held& held);
  void tell_run(ExchangeId exchange, const Held& held);
  void ping_later(ExchangeId exchange);
  void step_later(ExchangeId exchange, const Job& job);
  void partial_later(ExchangeId exchange, int number, TimePoint before);

  [[nodiscard]] nlohmann::json status_of(const Job& job, const std::string& origin) const;
  [[nodiscard]] DeskReply result_of(const Job& job, const std::string& origin);
  [[nodiscard]] nlohmann::json picture_result(const Job& job, const std::string& origin,
                                              std::uint32_t variant_shift);

  Timeline& timeline_;
  Answers& answers_;
  Storage& storage_;
  DeskStats& stats_;
  const Models& models_;
  const DeskOptions& options_;
  Milliseconds queue_time_;
  Milliseconds job_time_;
  std::string elsewhere_;
  Queue queue_;
  std::unordered_map<ExchangeId, Held> held_;
  std::unordered_map<const Job*, std::vector<ExchangeId>> watchers_;
  std::deque<SeenSubmit> submits_;
  std::size_t submits_bytes_ = 0;
  std::uint64_t next_seed_ = 1;
};

/// The log lines of a job until `now`, as fal writes them; that of a video has a bar of its steps.
[[nodiscard]] nlohmann::json logs_of(const Job& job, TimePoint now);

}  // namespace falproxy::inline v0::testing
