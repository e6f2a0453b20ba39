// operator_tasks.hpp: what operators ask for: /metrics and /v1/falproxy/status.
#pragma once

#include <memory>
#include <string>

#include "connection/application.hpp"
#include "server/routes.hpp"
#include "server/server.hpp"

namespace falproxy::app {

/// `route`: metrics or status. `fields`: of every answer.
[[nodiscard]] std::unique_ptr<Task> make_operator_task(Server& server, RouteId route,
                                                       std::string fields);

/// The JSON of /v1/falproxy/status.
[[nodiscard]] std::string status_json(const Gauges& gauges, const Metrics::Totals& totals,
                                      const std::vector<CatalogModel>& models);

/// GET /metrics and nothing else, without a key: for METRICS_PORT.
class MetricsDoor final : public Application {
 public:
  explicit MetricsDoor(Server& server) : server_(server) {}
  std::unique_ptr<Task> receive(const RequestHead& head, Reply& reply) override;
  void refuse(const RequestHead* head, const Error& error, Reply& reply) override {
    server_.refuse(head, error, reply);
  }

 private:
  Server& server_;
};

}  // namespace falproxy::app
