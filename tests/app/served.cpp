#include "served.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace falproxy::test {
namespace {

falsim::Falsim started(falsim::FalsimOptions options) {
  auto sim = falsim::Falsim::start(std::move(options));
  REQUIRE(sim.has_value());
  return std::move(sim).value();
}

}  // namespace

falsim::FalsimOptions Served::quick() { return {.job_time = std::chrono::milliseconds(0)}; }

app::Environment Served::environment(const app::Environment& more) const {
  app::Environment environment = {
      {"CUSTOM_ACCESS_KEY", std::string(access_key)},
      {"AI_KEYS", "test-id:test-secret"},
      {"SUPPORTED_MODELS",
       "flux:fal-ai/flux/dev,gpt-image-1:fal-ai/flux/dev,sub/dir:fal-ai/flux/dev"},
      {"HOST", "127.0.0.1"},
      {"PORT", "0"},
      {"FAL_QUEUE_URL", sim.queue_url()},
      {"FAL_RUN_URL", sim.run_url()},
      {"FAL_SCHEMA_URL", sim.schema_url()},
      {"FAL_REST_URL", sim.rest_url()},
      {"FAL_MEDIA_HOSTS", sim.media_hosts()},
      {"SCHEMA_CACHE_DIR", "none"},
      {"STATE_DIR", "none"},
  };
  for (const auto& [name, value] : more) environment[name] = value;
  return environment;
}

Served::Served(const app::Environment& more, falsim::FalsimOptions sim_options,
               std::unique_ptr<StateStore> state)
    : sim(started(std::move(sim_options))) {
  start(more, std::move(state));
}

Served::Served(const app::Environment& more, falsim::Falsim running,
               const std::function<app::Environment(const falsim::Falsim&)>& depending)
    : sim(std::move(running)) {
  app::Environment all = depending(sim);
  all.insert(more.begin(), more.end());
  start(all);
}

void Served::start(const app::Environment& more, std::unique_ptr<StateStore> state) {
  auto configuration = app::load_configuration("/dev/null", environment(more));
  if (!configuration) FAIL(to_string(configuration.error().front()));
  auto created = app::Service::create(std::move(configuration).value(),
                                      {.write_log =
                                           [this](std::string_view text) {
                                             const std::lock_guard lock(mutex_);
                                             log_.append(text);
                                           },
                                       .state = std::move(state)});
  if (!created) FAIL(created.error().message);
  service = std::move(created).value();
  service->start();
}

void Served::wait_for_documents() const {
  REQUIRE(eventually([&] {
    return std::ranges::all_of(service->catalog().status(), &DocumentStatus::available);
  }));
}

Received Served::post(std::string_view path, std::string_view body, std::string_view fields) const {
  RawClient client(port());
  return client.exchange(test::post(path, body, key_field() + std::string(fields)));
}

Received Served::get(std::string_view path, std::string_view fields) const {
  RawClient client(port());
  return client.exchange(test::get(path, key_field() + std::string(fields)));
}

std::string Served::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

std::string key_field(std::string_view key) {
  return "Authorization: Bearer " + std::string(key) + "\r\n";
}

Json at(std::string_view json, std::string_view path) {
  Result<Json> parsed = Json::parse(json);
  Json value = parsed ? *parsed : Json();
  while (!path.empty()) {
    const std::size_t dot = path.find('.');
    const std::string_view step = path.substr(0, dot);
    std::size_t index = 0;
    const bool number =
        std::from_chars(step.data(), step.data() + step.size(), index).ec == std::errc();
    value = number ? value.at(index) : value.find(step).value_or(Json());
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return value;
}

std::string text_at(std::string_view json, std::string_view path) {
  return std::string(at(json, path).as_string().value_or(""));
}

}  // namespace falproxy::test
