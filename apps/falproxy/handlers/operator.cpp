// How the server is doing: /metrics and /v1/falproxy/status.
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "handlers/handlers.hpp"
#include "media_store/media_keeper.hpp"

namespace falproxy::app {

using serving::Response;

namespace {

using nlohmann::ordered_json;

ordered_json figures(const Gauges& gauges, const Metrics::Totals& totals) {
  ordered_json status;
  status["version"] = FALPROXY_VERSION;
  status["uptime_seconds"] = gauges.uptime.count();
  status["requests"] = totals.requests;
  status["failures"] = totals.failures;
  status["images"] = totals.images;
  status["cost_usd"] = totals.cost.to_string();
  const double timed = totals.timed == 0 ? 1 : static_cast<double>(totals.timed);
  status["time"] = {{"queue_seconds", totals.queue_seconds / timed},
                    {"inference_seconds", totals.inference_seconds / timed},
                    {"other_seconds", totals.other_seconds / timed}};
  return status;
}

void add_server(ordered_json& status, const Gauges& gauges) {
  status["in_flight"] = gauges.in_flight;
  status["connections"] = gauges.connections_open;
  status["fibers"] = gauges.fibers;
  status["upstream_streams"] = gauges.runs.streams_held;
  status["state"] = {{"store", gauges.state.name}};
  if (gauges.state.records) status["state"]["records"] = *gauges.state.records;
  status["state"]["open"] = gauges.state.open;
  status["state"]["degraded"] = gauges.state.degraded;
  if (gauges.replicas) status["replicas"] = *gauges.replicas;
  if (gauges.media) {
    status["media"] = {{"place", gauges.media->place},
                       {"files", gauges.media->files},
                       {"bytes", gauges.media->bytes},
                       {"waiting", gauges.media->waiting},
                       {"degraded", gauges.media->trouble}};
  }
  status["accounts"] = ordered_json::array();
  for (const AccountStatus& account : gauges.accounts) {
    ordered_json row = {
        {"state", name_of(account.state)}, {"leases", account.leases}, {"keys", account.keys}};
    if (account.back_in)
      row["back_in_seconds"] = std::chrono::duration<double>(*account.back_in).count();
    status["accounts"].push_back(std::move(row));
  }
}

void add_document(ordered_json& row, const Gauges& gauges, const std::string& endpoint,
                  bool with_faults) {
  row["endpoint"] = endpoint;
  const auto document = std::ranges::find(gauges.documents, endpoint, &DocumentStatus::endpoint);
  if (document == gauges.documents.end()) return;
  row["available"] = document->available;
  row["pinned"] = document->pinned;
  if (document->fetched)
    row["age_seconds"] = std::chrono::floor<Seconds>(gauges.now - *document->fetched).count();
  if (with_faults && !document->fault.empty()) row["fault"] = document->fault;
  for (const DocumentChange& change : document->changes) {
    const auto time = std::chrono::floor<Seconds>(change.time.time_since_epoch()).count();
    row["changes"].push_back({{"time", time}, {"text", change.text}});
  }
}

void add_models(ordered_json& status, const Gauges& gauges, const std::vector<CatalogModel>& models,
                bool with_faults) {
  status["models"] = ordered_json::array();
  for (const CatalogModel& model : models) {
    ordered_json row = {{"id", model.name}};
    add_document(row, gauges, model.endpoint.str(), with_faults);
    for (const auto& beside : {model.edit_endpoint, model.remix_endpoint}) {
      if (!beside) continue;
      ordered_json more;
      add_document(more, gauges, beside->str(), with_faults);
      row["beside"].push_back(std::move(more));
    }
    status["models"].push_back(std::move(row));
  }
}

void add_errors(ordered_json& status, const Metrics::Totals& totals) {
  status["errors"] = ordered_json::array();
  for (const Metrics::RecentError& error : totals.errors) {
    status["errors"].push_back(
        {{"time", std::chrono::floor<Seconds>(error.time.time_since_epoch()).count()},
         {"request_id", error.request_id},
         {"model", error.model},
         {"status", error.status},
         {"code", error.code},
         {"message", error.message}});
  }
}

// Who asks, and what the page can do for them.
void add_caller(ordered_json& status, const Call& call) {
  const Caller& caller = call.caller;
  const bool makes_keys = caller.is_operator && !call.rules->settings.admin_key.empty();
  status["caller"] = {{"name", caller.client},
                      {"makes_files", !caller.client.empty()},
                      {"is_operator", caller.is_operator},
                      {"makes_keys", makes_keys}};
  const MediaKeeper* const keeper = call.door.parts().media;
  status["keeps_files"] = keeper != nullptr;
  if (keeper != nullptr) status["keeps_in"] = keeper->place().is_folder() ? "folder" : "bucket";
}

// For the operator, or for one client: without accounts, documents' faults, and what else is
// everybody's.
std::string status_json(const Call& call, const Gauges& gauges, const Metrics::Totals& totals,
                        const std::vector<CatalogModel>& models) {
  ordered_json status = figures(gauges, totals);
  add_caller(status, call);
  if (call.caller.is_operator) add_server(status, gauges);
  add_models(status, gauges, models, call.caller.is_operator);
  add_errors(status, totals);
  return status.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

Response written(Call& call, std::string_view type, const std::function<std::string()>& write) {
  std::string text;
  call.door.parts().executor.run_blocking([&] { text = write(); });
  return {.content_type = std::string(type),
          .fields = "Cache-Control: no-store\r\n",
          .body = Body(std::move(text))};
}

}  // namespace

Response show_metrics(Call& call) {
  const Door& door = call.door;
  return written(call, "text/plain; version=0.0.4; charset=utf-8",
                 [&door] { return door.parts().metrics.exposition(door.gauges()); });
}

Response show_status(Call& call) {
  const Door& door = call.door;
  const Caller& caller = call.caller;
  return written(call, "application/json", [&door, &caller, &call] {
    const Metrics& metrics = door.parts().metrics;
    std::vector<CatalogModel> models = door.parts().catalog.models();
    std::erase_if(models, [&](const CatalogModel& model) {
      return !call.rules->access.may_use(caller.client, model.name);
    });
    return status_json(call, door.gauges(),
                       caller.is_operator ? metrics.totals() : metrics.totals_of(caller.client),
                       models);
  });
}

}  // namespace falproxy::app
