// native.hpp: fal's own API as fal's clients speak it, for tests.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "folder.hpp"
#include "served.hpp"

namespace falproxy::test {

inline const app::Environment native_models{
    {"SUPPORTED_MODELS", "flux:fal-ai/flux/dev,nano:fal-ai/nano-banana+fal-ai/nano-banana/edit"},
    {"ACCESS_KEYS", "other=other-key-of-16-letters"},
    {"AI_KEYS", "one-id:one-secret,two-id:two-secret"}};
inline const std::string fox = R"({"prompt":"a fox","seed":9007199254740993})";

// As @fal-ai/client sends it with a proxyUrl.
inline Received by_proxy(const Served& served, const std::string& method, const std::string& target,
                         const std::string& body = {}, std::string_view key = access_key) {
  RawClient client(served.port());
  client.send(method + " /api/fal/proxy HTTP/1.1\r\nHost: a.example\r\nAuthorization: Key " +
              std::string(key) + "\r\nx-fal-target-url: " + target +
              "\r\nContent-Type: application/json\r\nx-fal-queue-priority: low\r\nCookie: a=b\r\n"
              "Content-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  return client.receive();
}

inline Received below(const Served& served, const std::string& method, const std::string& path,
                      const std::string& body = {}, const std::string& fields = {}) {
  RawClient client(served.port());
  client.send(method + " " + path + " HTTP/1.1\r\nHost: a.example\r\n" + key_field() + fields +
              "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\n\r\n" + body);
  return client.receive();
}

inline constexpr const char* queue = "https://queue.fal.run/";

// Waits for the end; the result.
inline Received result_of(const Served& served, const std::string& fal_id) {
  const std::string job = std::string(queue) + "fal-ai/flux/requests/" + fal_id;
  for (int tries = 0; tries < 1'000; ++tries) {
    const Received status = by_proxy(served, "GET", job + "/status?logs=1");
    if (text_at(status.body, "status") == "COMPLETED") break;
    std::this_thread::sleep_for(Milliseconds(10));
  }
  return by_proxy(served, "GET", job);
}

inline constexpr const char* native_team = "team-key-of-16-letters";

// Of a team; a picture costs 0.06.
inline app::Environment native_budget(const testing::Folder& folder,
                                      const std::string& budget = "0.10") {
  app::Environment settings = native_models;
  settings["STATE_DIR"] = folder.at("state");
  settings["ADMIN_KEY"] = "admin-key-of-16-letters";
  settings["KEYS_FILE"] = folder.write(
      "keys.json", R"({"team":{"key":"team-key-of-16-letters","budget":")" + budget + R"(/day"}})");
  settings["PRICES_FILE"] =
      folder.write("prices.json", R"({"fal-ai/flux/dev":{"unit_price":"0.06","unit":"images"}})");
  return settings;
}

// Once what was spent is known.
inline Received native_submit(const Served& served, const std::string& body = fox) {
  Received submitted;
  CHECK(eventually([&] {
    submitted = by_proxy(served, "POST", std::string(queue) + "fal-ai/flux/dev", body, native_team);
    return submitted.status != 503;
  }));
  return submitted;
}

// As the report of its key tells it.
inline std::optional<double> native_cost(const Served& served) {
  RawClient client(served.port());
  return at(client.exchange(get("/v1/falproxy/usage", key_field(native_team))).body,
            "data.0.cost_usd")
      .as_number();
}

inline falsim::Fault at_status(int status, const std::string& body) {
  falsim::Fault fault;
  fault.step = falsim::Step::status;
  fault.answer = falsim::Answer{.status = status, .body = body};
  fault.name = "status";
  return fault;
}

inline std::uint64_t status_faults(const falsim::FalsimStats& stats) {
  const auto found = stats.faults.find("status");
  return found == stats.faults.end() ? 0 : found->second;
}

}  // namespace falproxy::test
