#include "server/operator_tasks.hpp"

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

namespace falproxy::app {
namespace {

class OperatorTask final : public Task {
 public:
  OperatorTask(Server& server, RouteId route, std::string fields)
      : server_(server), route_(route), fields_(std::move(fields)) {}

  Answer serve(Exchange&) override {
    const Server::Parts& parts = server_.parts();
    Answer answer{.fields = fields_ + "Cache-Control: no-store\r\n"};
    if (route_ == RouteId::metrics) {
      answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
      answer.body = Body(parts.metrics.exposition(server_.gauges()));
    } else {
      answer.body =
          Body(status_json(server_.gauges(), parts.metrics.totals(), parts.catalog.models()));
    }
    parts.metrics.count_reply(route_, 200);
    return answer;
  }

 private:
  Server& server_;
  const RouteId route_;
  const std::string fields_;
};

}  // namespace

std::unique_ptr<Task> make_operator_task(Server& server, RouteId route, std::string fields) {
  return std::make_unique<OperatorTask>(server, route, std::move(fields));
}

std::unique_ptr<Task> MetricsDoor::receive(const RequestHead& head, Reply& reply) {
  const RouteMatch match = find_route(head.method, normal_path(head.path()));
  if (match.route != nullptr && match.route->id == RouteId::metrics) {
    return make_operator_task(server_, RouteId::metrics, {});
  }
  server_.refuse(
      &head,
      Error{.kind = ErrorKind::unknown_url, .message = "There is only GET /metrics on this port."},
      reply);
  if (head.method == "HEAD") reply.body = {};
  return nullptr;
}

std::string status_json(const Gauges& gauges, const Metrics::Totals& totals,
                        const std::vector<CatalogModel>& models) {
  using nlohmann::ordered_json;
  ordered_json status;
  status["version"] = FALPROXY_VERSION;
  status["uptime_seconds"] = gauges.uptime.count();
  status["in_flight"] = gauges.in_flight;
  status["requests"] = totals.requests;
  status["failures"] = totals.failures;
  status["images"] = totals.images;
  status["connections"] = gauges.connections_open;
  status["threads"] = gauges.threads;
  status["upstream_streams"] = gauges.gateway.streams_held;
  const double timed = totals.timed == 0 ? 1 : static_cast<double>(totals.timed);
  status["time"] = {{"queue_seconds", totals.queue_seconds / timed},
                    {"inference_seconds", totals.inference_seconds / timed},
                    {"other_seconds", totals.other_seconds / timed}};
  status["accounts"] = ordered_json::array();
  for (const AccountStatus& account : gauges.accounts) {
    ordered_json row = {
        {"state", name_of(account.state)}, {"leases", account.leases}, {"keys", account.keys}};
    if (account.back_in)
      row["back_in_seconds"] = std::chrono::duration<double>(*account.back_in).count();
    status["accounts"].push_back(std::move(row));
  }
  status["models"] = ordered_json::array();
  for (const CatalogModel& model : models) {
    ordered_json row = {{"id", model.name}, {"endpoint", model.endpoint.str()}};
    for (const DocumentStatus& document : gauges.documents) {
      if (document.endpoint != model.endpoint.str()) continue;
      row["available"] = document.available;
      row["pinned"] = document.pinned;
      if (document.fetched)
        row["age_seconds"] = std::chrono::floor<Seconds>(gauges.now - *document.fetched).count();
      if (!document.fault.empty()) row["fault"] = document.fault;
      break;
    }
    status["models"].push_back(std::move(row));
  }
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
  return status.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace falproxy::app
