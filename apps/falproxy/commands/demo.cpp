#include <algorithm>
#include <falsim/falsim.hpp>
#include <fstream>
#include <string>
#include <utility>

#include "base/fmt.hpp"
#include "commands/commands.hpp"
#include "configuration.hpp"
#include "falproxy/http_transport.hpp"
#include "falproxy/json.hpp"
#include "process.hpp"
#include "service.hpp"

namespace falproxy::app {
namespace {

constexpr std::string_view access_key = "falproxy-demo-key";
constexpr std::string_view picture_file = "demo.png";
constexpr Seconds patience{60};

// "fal-ai/flux/dev" is offered as "flux-dev".
std::string name_of(std::string_view endpoint) {
  std::string name(endpoint.substr(endpoint.find('/') + 1));
  std::ranges::replace(name, '/', '-');
  return name;
}

Environment demo_environment(const falsim::Falsim& sim, std::uint16_t port) {
  std::string models;
  for (const std::string& endpoint : sim.endpoints()) {
    models += fmt::format("{}{}:{}", models.empty() ? "" : ",", name_of(endpoint), endpoint);
  }
  return {{"CUSTOM_ACCESS_KEY", std::string(access_key)},
          {"AI_KEYS", "demo-id:demo-secret"},
          {"SUPPORTED_MODELS", models},
          {"HOST", "127.0.0.1"},
          {"PORT", std::to_string(port)},
          {"FAL_QUEUE_URL", sim.queue_url()},
          {"FAL_RUN_URL", sim.run_url()},
          {"FAL_SCHEMA_URL", sim.schema_url()},
          {"FAL_REST_URL", sim.rest_url()},
          {"FAL_API_URL", sim.api_url()},
          {"FAL_MEDIA_HOSTS", sim.media_hosts()},
          {"SCHEMA_CACHE_DIR", "none"},
          {"STATE_DIR", "none"}};
}

Result<std::unique_ptr<Service>> start_service(const falsim::Falsim& sim, std::uint16_t port) {
  // Nothing of the user's own .env belongs into the demo.
  auto configuration = load_configuration("/dev/null", demo_environment(sim, port));
  if (!configuration) {
    return Error{.kind = ErrorKind::invalid_settings,
                 .message = to_string(configuration.error().front())};
  }
  auto service = Service::create(std::move(configuration).value(),
                                 {.write_log = write_to_stderr, .colours = stderr_is_terminal()});
  if (service) (*service)->start();
  return service;
}

Result<HttpResponse> exchange(HttpTransport& transport, const HttpRequest& request) {
  constexpr std::size_t most = 64u << 20;
  auto response = fetch(transport, request, std::chrono::steady_clock::now() + patience, {}, most);
  if (!response)
    return Error{.kind = ErrorKind::upstream_unreachable, .message = response.error().message};
  if (response->head.status == 200) return std::move(response).value();
  return Error{.kind = ErrorKind::upstream_failed,
               .message = fmt::format("status {}: {}", response->head.status, response->body)};
}

// The address of the first picture in an answer.
Result<std::string> first_url(const std::string& answer) {
  const Result<Json> json = Json::parse(answer);
  if (!json) return json.error();
  const Json image = json->find("data").value_or(Json()).at(0);
  const Json url = image.find("url").value_or(Json());
  if (const auto text = url.as_string()) return std::string(*text);
  return Error{.kind = ErrorKind::no_image, .message = "the answer has no data[0].url"};
}

// One picture through the API, over real sockets. `stays`: the server can be asked again
// afterwards.
Result<Done> make_picture(const std::string& base, const std::string& model, bool stays) {
  auto transport = HttpTransport::create({});
  if (!transport) return transport.error();
  const std::string body = fmt::format(
      R"({{"model":"{}","prompt":"a lighthouse at dusk","size":"1024x768","output_format":"png"}})",
      model);
  const std::string url = base + "/v1/images/generations";
  write_to_stdout(
      fmt::format("\nPOST {}\nAuthorization: Bearer {}\nContent-Type: application/json\n\n{}\n",
                  url, access_key, body));
  const auto answer =
      exchange(**transport, {.method = "POST",
                             .url = url,
                             .headers = {{"Authorization", fmt::format("Bearer {}", access_key)},
                                         {"Content-Type", "application/json"}},
                             .body = Body(body)});
  if (!answer) return answer.error();
  write_to_stdout(fmt::format("\n{}\n", answer->body));
  const Result<std::string> address = first_url(answer->body);
  if (!address) return address.error();
  const auto picture = exchange(**transport, {.url = *address});
  if (!picture) return picture.error();
  std::ofstream file{std::string(picture_file), std::ios::binary};
  if (!(file << picture->body).flush()) {
    return Error{.kind = ErrorKind::internal,
                 .message = fmt::format("{} cannot be written", picture_file)};
  }
  write_to_stdout(fmt::format("\n{}: {} bytes\n", picture_file, picture->body.size()));
  if (stays) {
    write_to_stdout(
        fmt::format("\ncurl -s {} -H 'Authorization: Bearer {}' -H 'Content-Type: "
                    "application/json' -d '{}'\n\n",
                    url, access_key, body));
  }
  return Done{};
}

int fail(const Error& error) {
  write_to_stderr(fmt::format("falproxy demo: {}\n", error.message));
  return ExitStatus::fault;
}

}  // namespace

int demo(const CommandLine& line) {
  const Signals signals;
  auto sim = falsim::Falsim::start({.job_time = Milliseconds(500)});
  if (!sim) return fail(sim.error());
  constexpr std::uint16_t usual_port = 8000;
  auto service = start_service(*sim, line.port.value_or(usual_port));
  // Somebody has the usual port: any other does for a demo.
  if (!service && !line.port) service = start_service(*sim, 0);
  if (!service) return fail(service.error());
  const std::string base = fmt::format("http://127.0.0.1:{}", (*service)->port());
  if (const Result<Done> made = make_picture(base, "flux-dev", !line.once); !made)
    return fail(made.error());
  if (line.once) return ExitStatus::done;
  write_to_stdout(
      fmt::format("Serving until Ctrl-C. The page to try it: {}/playground/ (access key: {})\n",
                  base, access_key));
  while (signals.next() == SIGHUP) {
  }
  stop_or_be_ended(std::move(service).value(), signals, Seconds(1));
  return ExitStatus::done;
}

}  // namespace falproxy::app
