#include "visit.hpp"

#include "queue.hpp"

namespace falproxy::inline v0::testing {
namespace {

struct Fixed {
  std::string_view method;
  std::string_view path;  // with a last '/': every path that begins so
  Step step;
};
constexpr Fixed fixed_routes[] = {
    {"GET", "/api/openapi/queue/openapi.json", Step::document},
    {"POST", "/storage/upload/initiate", Step::upload_initiate},
    {"PUT", "/upload/", Step::upload},
    {"GET", "/files/", Step::media},
    {"GET", "/v1/models", Step::models},
    {"GET", "/v1/models/pricing", Step::pricing},
    {"POST", "/v1/models/pricing/estimate", Step::estimate},
    {"GET", "/v1/models/billing-events", Step::bills},
    {"GET", "/v1/account/billing", Step::balance},
    {"GET", "/v1/models/requests/by-endpoint", Step::history},
    {"POST", "/v1/storage/files/sign", Step::sign},
};

struct JobRoute {
  std::string_view method;
  std::string_view tail;  // after the request id
  Step step;
};
constexpr JobRoute job_routes[] = {
    {"GET", "/status", Step::status}, {"GET", "/status/stream", Step::status_stream},
    {"GET", "", Step::result},        {"GET", "/response", Step::result},
    {"PUT", "/cancel", Step::cancel},
};

bool is_method(std::string_view method, std::string_view wanted) {
  return method == wanted || (method == "HEAD" && wanted == "GET");
}

Route job_route(std::string_view method, std::string_view app, std::string_view rest) {
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  Route route{.app = app, .request_id = rest.substr(0, slash)};
  for (const JobRoute& row : job_routes) {
    if (row.tail != rest.substr(slash)) continue;
    route.step = row.step;
    // Jobs live under [namespace/]owner/alias only: the full id of an endpoint with a sub-path is
    // answered with 405.
    route.wrong_method = method != row.method || app_of(app) != app;
  }
  return route;
}

}  // namespace

Route route(const DeskRequest& request, bool run) {
  const std::string_view path = request.path;
  const std::string_view id = path.substr(1);
  if (run) {
    const bool stream = id.ends_with("/stream");
    return {.step = stream ? Step::model_stream : Step::run,
            .endpoint = id,
            .wrong_method = request.method != "POST"};
  }
  for (const Fixed& row : fixed_routes) {
    if (row.path.back() == '/' ? path.starts_with(row.path) : path == row.path) {
      return {.step = row.step, .wrong_method = !is_method(request.method, row.method)};
    }
  }
  constexpr std::string_view requests = "/v1/models/requests/", payloads = "/payloads";
  if (path.starts_with(requests) && path.ends_with(payloads)) {
    const std::string_view of = path.substr(requests.size());
    return {.step = Step::forget,
            .request_id = of.substr(0, of.size() - payloads.size()),
            .wrong_method = request.method != "DELETE"};
  }
  constexpr std::string_view marker = "/requests/";
  if (const std::size_t at = id.find(marker); at != std::string_view::npos) {
    return job_route(request.method, id.substr(0, at), id.substr(at + marker.size()));
  }
  return {.step = Step::submit, .endpoint = id, .wrong_method = request.method != "POST"};
}

}  // namespace falproxy::inline v0::testing
