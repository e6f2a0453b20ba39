#include "metrics.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "base/fmt.hpp"

namespace falproxy::app {
namespace {

constexpr std::size_t errors_kept = 50;
constexpr std::size_t errors_kept_of_a_client = 10;

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

void write_jobs(Writer& writer, const Runner::Counters& counters) {
  writer.family("jobs_total", "counter", "What became of jobs at fal.");
  writer.sample("jobs_total", "event=\"submitted\"", counters.submits);
  writer.sample("jobs_total", "event=\"repeated\"", counters.repeated);
  writer.sample("jobs_total", "event=\"accepted\"", counters.accepted);
  writer.sample("jobs_total", "event=\"result\"", counters.results);
  writer.sample("jobs_total", "event=\"cancelled\"", counters.cancels);
  writer.sample("jobs_total", "event=\"failed\"", counters.failures);
  writer.sample("jobs_total", "event=\"abandoned\"", counters.abandoned);
  writer.single("resumed_total", "counter",
                "Jobs that an earlier process or request left, and that were followed.",
                counters.resumed);
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
  writer.family("document_available", "gauge", "1 if a model's document is there.");
  for (const DocumentStatus& document : documents) {
    writer.sample("document_available", fmt::format("endpoint=\"{}\"", label(document.endpoint)),
                  document.available ? 1 : 0);
  }
  writer.family("document_age_seconds", "gauge", "Seconds since a model's document was fetched.");
  for (const DocumentStatus& document : documents) {
    if (!document.fetched) continue;
    writer.sample("document_age_seconds", fmt::format("endpoint=\"{}\"", label(document.endpoint)),
                  std::chrono::floor<Seconds>(now - *document.fetched).count());
  }
}

void write_state(Writer& writer, const StoreStatus& state) {
  if (state.records)
    writer.single("state_records", "gauge", "Runs that are noted now.", *state.records);
  writer.single("state_open", "gauge", "Runs that are noted now and have not ended.", state.open);
  writer.single("state_waiting", "gauge", "Operations that wait for the store of runs.",
                state.waiting);
  writer.single("state_writes_total", "counter", "Runs that were noted or erased.", state.written);
  writer.single("state_commits_total", "counter",
                "Transactions in which runs were noted or erased.", state.commits);
  writer.single("state_degraded", "gauge", "1 if runs cannot be noted in STATE_DIR.",
                state.degraded.empty() ? 0 : 1);
}

void write_media(Writer& writer, const MediaStatus& media) {
  writer.single("media_files", "gauge", "Files of answers that are kept now.", media.files);
  writer.single("media_bytes", "gauge", "Bytes of files of answers that are kept now.",
                media.bytes);
  writer.single("media_waiting", "gauge", "Files that are about to be kept.", media.waiting);
  writer.single("media_kept_total", "counter", "Files that were kept.", media.stored);
  writer.single("media_lost_total", "counter", "Files that could not be kept.", media.lost);
  writer.single("media_degraded", "gauge", "1 if files cannot be kept in MEDIA_STORE.",
                media.trouble.empty() ? 0 : 1);
}

void write_traces(Writer& writer, const TraceStatus& traces) {
  writer.single("spans_sent_total", "counter", "Spans that the collector of traces has taken.",
                traces.sent);
  writer.single("spans_dropped_total", "counter",
                "Spans that were lost: too many waited, or the collector did not take them.",
                traces.dropped);
  writer.single("spans_waiting", "gauge", "Spans that have not been sent yet.", traces.waiting);
}

void write_gauges(Writer& writer, const Gauges& gauges) {
  writer.single("uptime_seconds", "gauge", "Seconds since the start.", gauges.uptime.count());
  writer.single("in_flight", "gauge", "Requests that make files and run now.", gauges.in_flight);
  if (gauges.balance) {
    writer.single("fal_balance_usd", "gauge", "What is left on fal's account.",
                  gauges.balance->to_string());
  }
  writer.single("body_memory_bytes", "gauge",
                "Memory that the bodies of requests in flight need, as estimated.",
                gauges.body_memory);
  writer.single("spooled_bytes", "gauge",
                "Bytes of long uploads that are on the disk until fal has them.",
                gauges.spooled_bytes);
  writer.family("connections", "gauge", "Clients' connections now.");
  writer.sample("connections", "state=\"busy\"", gauges.connections_busy);
  writer.sample(
      "connections", "state=\"idle\"",
      gauges.connections_open - std::min(gauges.connections_open, gauges.connections_busy));
  writer.single("connections_accepted_total", "counter", "Clients' connections that were accepted.",
                gauges.connections_accepted);
  writer.single(
      "connections_not_accepted_total", "counter",
      "Clients' connections that could not be taken, for want of descriptors and the like.",
      gauges.connections_not_accepted);
  writer.single("fibers", "gauge", "Requests that run on fibers now, and what runs beside them.",
                gauges.fibers);
  writer.single("pool_waiting", "gauge",
                "Pictures, documents and the like that wait for a thread to work on them.",
                gauges.pool_waiting);
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

void Metrics::Histogram::add(double seconds) noexcept {
  const auto* bound = std::ranges::lower_bound(bounds, seconds);
  ++counts[static_cast<std::size_t>(bound - bounds.begin())];
  sum += seconds;
}

void Metrics::count_reply(std::string_view route, int status) {
  const std::lock_guard lock(mutex_);
  ++requests_[{route, std::string(), status}];
}

void Metrics::Totals::add(const RequestRecord& record, std::size_t most_errors) {
  ++requests;
  if (record.receipt.images > 0) {
    images += static_cast<std::uint64_t>(record.receipt.images);
    queue_seconds += seconds_of(record.receipt.queue);
    inference_seconds += seconds_of(record.receipt.inference);
    other_seconds +=
        std::max(0.0, seconds_of(record.total - record.receipt.queue - record.receipt.inference));
    ++timed;
  }
  if (record.status < 400) return;
  ++failures;
  errors.push_front({record.time, record.request_id, record.model, record.status, record.error_code,
                     record.error_message});
  if (errors.size() > most_errors) errors.pop_back();
}

void Metrics::record(const RequestRecord& record, bool known_model) {
  const std::string& served =
      record.receipt.served_model.empty() ? record.model : record.receipt.served_model;
  const std::string model = known_model ? served : served.empty() ? "" : "other";
  const std::lock_guard lock(mutex_);
  ++requests_[{record.route, model, record.status}];
  totals_.add(record, errors_kept);
  // Clients are the operator's access keys, so that there are only so many.
  of_clients_[record.client].add(record, errors_kept_of_a_client);
  if (record.receipt.images > 0)
    images_[model] += static_cast<std::uint64_t>(record.receipt.images);
  for (const JobReceipt& job : record.receipt.jobs) {
    if (job.billable_units) billable_units_[model] += *job.billable_units;
  }
  const Phases phases = phases_of(record);
  for (std::size_t i = 0; i < phases.size(); ++i) {
    // A request that was refused has been through no phase.
    if (phases[i].second.count() > 0) phases_[i].add(seconds_of(phases[i].second));
  }
}

void Metrics::add_cost(const std::string& client, const std::string& model, Usd cost) {
  const std::lock_guard lock(mutex_);
  for (Usd* sum : {&costs_[{client, model}], &totals_.cost, &of_clients_[client].cost})
    *sum = *sum + cost;
}

void Metrics::add_correction(const std::string& client, const std::string& model, Usd difference) {
  const std::lock_guard lock(mutex_);
  Usd& sum = corrections_[{client, model}];
  sum = sum + difference;
}

Metrics::Totals Metrics::totals() const {
  const std::lock_guard lock(mutex_);
  return totals_;
}

Metrics::Totals Metrics::totals_of(std::string_view client) const {
  const std::lock_guard lock(mutex_);
  const auto found = of_clients_.find(client);
  return found == of_clients_.end() ? Totals() : found->second;
}

std::string Metrics::exposition(const Gauges& gauges) const {
  Writer writer;
  {
    const std::lock_guard lock(mutex_);
    writer.family("requests_total", "counter", "Requests by route, model and status.");
    for (const auto& [key, n] : requests_) {
      const auto& [route, model, status] = key;
      writer.sample(
          "requests_total",
          fmt::format("route=\"{}\",model=\"{}\",status=\"{}\"", route, label(model), status), n);
    }
    writer.family("phase_seconds", "histogram", "Where the time of requests that make files goes.");
    const Phases phases = phases_of({});
    for (std::size_t i = 0; i < phases.size(); ++i) {
      const Histogram& histogram = phases_[i];
      const std::string phase = fmt::format("phase=\"{}\"", phases[i].first);
      std::uint64_t below = 0;
      for (std::size_t b = 0; b < Histogram::bounds.size(); ++b) {
        below += histogram.counts[b];
        writer.sample("phase_seconds_bucket",
                      fmt::format("{},le=\"{}\"", phase, Histogram::bounds[b]), below);
      }
      below += histogram.counts.back();
      writer.sample("phase_seconds_bucket", phase + ",le=\"+Inf\"", below);
      writer.sample("phase_seconds_sum", phase, histogram.sum);
      writer.sample("phase_seconds_count", phase, below);
    }
    writer.family("images_total", "counter",
                  "Files answered: pictures, videos, sounds, transcripts.");
    for (const auto& [model, n] : images_)
      writer.sample("images_total", fmt::format("model=\"{}\"", label(model)), n);
    writer.family("billable_units_total", "counter", "Units that fal says it bills.");
    for (const auto& [model, n] : billable_units_) {
      writer.sample("billable_units_total", fmt::format("model=\"{}\"", label(model)), n);
    }
    writer.family("cost_usd_total", "counter", "What jobs cost, as far as it is known.");
    for (const auto& [of, cost] : costs_) {
      writer.sample("cost_usd_total",
                    fmt::format("key=\"{}\",model=\"{}\"", label(of.first), label(of.second)),
                    cost.to_string());
    }
    if (!corrections_.empty()) {
      writer.family("cost_correction_usd", "gauge",
                    "What fal's bills have added to it, or taken away, since the start.");
    }
    for (const auto& [of, difference] : corrections_) {
      writer.sample("cost_correction_usd",
                    fmt::format("key=\"{}\",model=\"{}\"", label(of.first), label(of.second)),
                    difference.to_string());
    }
  }
  write_jobs(writer, gauges.runs);
  write_accounts(writer, gauges.accounts);
  write_documents(writer, gauges.documents, gauges.now);
  write_state(writer, gauges.state);
  if (gauges.replicas) {
    writer.single("replicas", "gauge",
                  "Servers that share the Redis of STATE_URL, as far as this one hears of them.",
                  *gauges.replicas);
  }
  if (gauges.media) write_media(writer, *gauges.media);
  if (gauges.traces) write_traces(writer, *gauges.traces);
  write_gauges(writer, gauges);
  return writer.take();
}

}  // namespace falproxy::app
