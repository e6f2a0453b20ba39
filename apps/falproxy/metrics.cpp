#include "metrics.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "base/fmt.hpp"

namespace falproxy::app {
namespace {

constexpr std::size_t errors_kept = 50;

constexpr std::array<std::string_view, 8> phase_names = {"map",       "upload", "submit", "queue",
                                                         "inference", "result", "media",  "total"};

std::array<std::chrono::microseconds, 8> phase_times(const RequestRecord& record) {
  const Receipt& r = record.receipt;
  return {r.map, r.upload, r.submit, r.queue, r.inference, r.result, r.media, record.total};
}

double seconds_of(std::chrono::microseconds time) {
  return std::chrono::duration<double>(time).count();
}

// Label values (Prometheus' text format 0.0.4): backslash, quote and line feed are escaped.
std::string label(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == '\\' || c == '"') escaped += '\\';
    if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

class Writer {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(text_), "# HELP falproxy_{} {}\n# TYPE falproxy_{} {}\n",
                   name, help, name, type);
  }
  template <class Value>
  void sample(std::string_view name, std::string_view labels, Value value) {
    if (labels.empty()) {
      fmt::format_to(std::back_inserter(text_), "falproxy_{} {}\n", name, value);
    } else {
      fmt::format_to(std::back_inserter(text_), "falproxy_{}{{{}}} {}\n", name, labels, value);
    }
  }
  template <class Value>
  void single(std::string_view name, std::string_view type, std::string_view help, Value value) {
    family(name, type, help);
    sample(name, {}, value);
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

void write_jobs(Writer& writer, const ImageGateway::Counters& counters) {
  writer.family("jobs_total", "counter", "What became of jobs at fal.");
  writer.sample("jobs_total", "event=\"submitted\"", counters.submits);
  writer.sample("jobs_total", "event=\"repeated\"", counters.repeated);
  writer.sample("jobs_total", "event=\"accepted\"", counters.accepted);
  writer.sample("jobs_total", "event=\"result\"", counters.results);
  writer.sample("jobs_total", "event=\"cancelled\"", counters.cancels);
  writer.sample("jobs_total", "event=\"failed\"", counters.failures);
  writer.sample("jobs_total", "event=\"abandoned\"", counters.abandoned);
  writer.single("recovered_total", "counter",
                "Requests that were attached to an earlier one's jobs.", counters.recovered);
  writer.single("upstream_faults_total", "counter",
                "Exchanges with fal without an answer, or with one of 400 or more.",
                counters.upstream_faults);
  writer.single("upstream_streams", "gauge", "Status streams held now.", counters.streams_held);
}

void write_accounts(Writer& writer, const std::vector<AccountStatus>& accounts) {
  using State = AccountStatus::State;
  writer.family("accounts", "gauge", "fal accounts by state.");
  for (const State state : {State::ready, State::resting, State::blocked, State::out}) {
    const auto n = std::ranges::count(accounts, state, &AccountStatus::state);
    writer.sample("accounts", fmt::format("state=\"{}\"", name_of(state)), n);
  }
  writer.family("account_jobs", "gauge", "Jobs that an account runs now.");
  for (std::size_t i = 0; i < accounts.size(); ++i) {
    writer.sample("account_jobs", fmt::format("account=\"{}\"", i + 1), accounts[i].leases);
  }
}

void write_documents(Writer& writer, const std::vector<DocumentStatus>& documents, WallTime now) {
  writer.family("document_available", "gauge", "1 where a model's document is there.");
  for (const DocumentStatus& document : documents) {
    writer.sample("document_available", fmt::format("endpoint=\"{}\"", label(document.endpoint)),
                  document.available ? 1 : 0);
  }
  writer.family("document_age_seconds", "gauge", "Since a model's document was fetched.");
  for (const DocumentStatus& document : documents) {
    if (!document.fetched) continue;
    writer.sample("document_age_seconds", fmt::format("endpoint=\"{}\"", label(document.endpoint)),
                  std::chrono::floor<Seconds>(now - *document.fetched).count());
  }
}

void write_gauges(Writer& writer, const Gauges& gauges) {
  writer.single("uptime_seconds", "gauge", "Since the start.", gauges.uptime.count());
  writer.single("in_flight", "gauge", "Image requests that run now.", gauges.in_flight);
  writer.single("body_memory_bytes", "gauge", "Memory that bodies in flight are taken to need.",
                gauges.body_memory);
  writer.family("connections", "gauge", "Clients' connections now.");
  writer.sample("connections", "state=\"busy\"", gauges.connections_busy);
  writer.sample(
      "connections", "state=\"idle\"",
      gauges.connections_open - std::min(gauges.connections_open, gauges.connections_busy));
  writer.single("connections_accepted_total", "counter", "Clients' connections.",
                gauges.connections_accepted);
  writer.single("fibers", "gauge", "Requests that run on fibers now, and what runs beside them.",
                gauges.fibers);
  writer.family("threads", "gauge", "Workers now.");
  writer.sample("threads", "state=\"busy\"",
                gauges.threads - std::min(gauges.threads, gauges.idle_threads));
  writer.sample("threads", "state=\"idle\"", gauges.idle_threads);
  writer.single("upstream_connections_opened_total", "counter", "Connections to fal.",
                gauges.upstream_connections);
  writer.single("upstream_requests_total", "counter", "Requests sent to fal.",
                gauges.upstream_requests);
  writer.single("upstream_connections_idle", "gauge",
                "Connections to fal kept open without a request.", gauges.upstream_idle);
  writer.single("log_lines_dropped_total", "counter",
                "Log lines that could not be written fast enough.", gauges.log_lines_dropped);
}

}  // namespace

std::string_view name_of(AccountStatus::State state) noexcept {
  switch (state) {
    case AccountStatus::State::ready:
      return "ready";
    case AccountStatus::State::resting:
      return "resting";
    case AccountStatus::State::blocked:
      return "blocked";
    case AccountStatus::State::out:
      return "out";
  }
  return "out";
}

void Metrics::Histogram::add(double seconds) noexcept {
  const auto* bound = std::ranges::lower_bound(bounds, seconds);
  ++counts[static_cast<std::size_t>(bound - bounds.begin())];
  sum += seconds;
}

void Metrics::count_reply(RouteId route, int status) noexcept {
  const int index = std::clamp(status, first_status, last_status) - first_status;
  replies_[static_cast<std::size_t>(route)][static_cast<std::size_t>(index)].fetch_add(
      1, std::memory_order_relaxed);
}

void Metrics::record(RouteId route, const RequestRecord& record, bool known_model) {
  const std::string& served =
      record.receipt.served_model.empty() ? record.model : record.receipt.served_model;
  const std::string model = known_model ? served : served.empty() ? "" : "other";
  const bool failed = record.status >= 400;
  if (model.empty()) count_reply(route, record.status);
  const std::lock_guard lock(mutex_);
  if (!model.empty()) ++requests_[{route, model, record.status}];
  ++totals_.requests;
  totals_.failures += failed ? 1 : 0;
  if (record.receipt.images > 0) {
    images_[model] += static_cast<std::uint64_t>(record.receipt.images);
    totals_.images += static_cast<std::uint64_t>(record.receipt.images);
    totals_.queue_seconds += seconds_of(record.receipt.queue);
    totals_.inference_seconds += seconds_of(record.receipt.inference);
    totals_.other_seconds +=
        std::max(0.0, seconds_of(record.total - record.receipt.queue - record.receipt.inference));
    ++totals_.timed;
  }
  for (const JobReceipt& job : record.receipt.jobs) {
    if (job.billable_units) billable_units_[model] += *job.billable_units;
  }
  const auto times = phase_times(record);
  for (std::size_t i = 0; i < phase_count; ++i) {
    // A request that was refused has been through no phase.
    if (times[i].count() > 0) phases_[i].add(seconds_of(times[i]));
  }
  if (!failed) return;
  errors_.push_front({record.time, record.request_id, record.model, record.status,
                      record.error_code, record.error_message});
  if (errors_.size() > errors_kept) errors_.pop_back();
}

Metrics::Totals Metrics::totals() const {
  const std::lock_guard lock(mutex_);
  Totals totals = totals_;
  totals.errors.assign(errors_.begin(), errors_.end());
  return totals;
}

std::string Metrics::exposition(const Gauges& gauges) const {
  Writer writer;
  {
    const std::lock_guard lock(mutex_);
    writer.family("requests_total", "counter", "Requests by route, model and status.");
    for (std::size_t route = 0; route < route_count; ++route) {
      for (std::size_t status = 0; status < replies_[route].size(); ++status) {
        const std::uint64_t n = replies_[route][status].load(std::memory_order_relaxed);
        if (n == 0) continue;
        writer.sample("requests_total",
                      fmt::format("route=\"{}\",model=\"\",status=\"{}\"",
                                  route_name(static_cast<RouteId>(route)),
                                  status + static_cast<std::size_t>(first_status)),
                      n);
      }
    }
    for (const auto& [key, n] : requests_) {
      const auto& [route, model, status] = key;
      writer.sample("requests_total",
                    fmt::format("route=\"{}\",model=\"{}\",status=\"{}\"", route_name(route),
                                label(model), status),
                    n);
    }
    writer.family("phase_seconds", "histogram", "Where the time of image requests goes.");
    for (std::size_t i = 0; i < phase_count; ++i) {
      const Histogram& histogram = phases_[i];
      std::uint64_t below = 0;
      for (std::size_t b = 0; b < Histogram::bounds.size(); ++b) {
        below += histogram.counts[b];
        writer.sample("phase_seconds_bucket",
                      fmt::format("phase=\"{}\",le=\"{}\"", phase_names[i], Histogram::bounds[b]),
                      below);
      }
      below += histogram.counts.back();
      writer.sample("phase_seconds_bucket", fmt::format("phase=\"{}\",le=\"+Inf\"", phase_names[i]),
                    below);
      writer.sample("phase_seconds_sum", fmt::format("phase=\"{}\"", phase_names[i]),
                    histogram.sum);
      writer.sample("phase_seconds_count", fmt::format("phase=\"{}\"", phase_names[i]), below);
    }
    writer.family("images_total", "counter", "Pictures answered.");
    for (const auto& [model, n] : images_)
      writer.sample("images_total", fmt::format("model=\"{}\"", label(model)), n);
    writer.family("billable_units_total", "counter", "What fal says that it bills.");
    for (const auto& [model, n] : billable_units_) {
      writer.sample("billable_units_total", fmt::format("model=\"{}\"", label(model)), n);
    }
  }
  write_jobs(writer, gauges.gateway);
  write_accounts(writer, gauges.accounts);
  write_documents(writer, gauges.documents, gauges.now);
  write_gauges(writer, gauges);
  return writer.take();
}

}  // namespace falproxy::app
