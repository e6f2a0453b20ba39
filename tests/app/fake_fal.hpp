// fake_fal.hpp: what the commands meet in tests: fal's documents and queue by script, streams kept
// as text.
#pragma once

#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include "app/folder.hpp"
#include "commands/surroundings.hpp"
#include "falproxy/test_doubles.hpp"

namespace falproxy::inline v0::testing {

/// A model's document: `inputs` are the properties as JSON, `required` the names as JSON.
[[nodiscard]] inline std::string document_of(
    const std::string& endpoint, const std::string& inputs,
    const std::string& required = "\"prompt\"",
    const std::string& outputs =
        "\"images\": {\"type\": \"array\", \"items\": "
        "{\"type\": \"object\", \"properties\": {\"url\": {\"type\": "
        "\"string\"}}}}") {
  return R"({"openapi": "3.0.4", "info": {"title": "t", "version": "1", "x-fal-metadata": {"endpointId": ")" +
         endpoint + R"(", "category": "text-to-image"}}, "paths": {"/)" + endpoint +
         R"(": {"post": {"requestBody": {"content": {"application/json": {"schema": {"type": "object", "required": [)" +
         required + R"(], "properties": {)" + inputs + R"(}}}}}, "responses": {}}}, "/)" +
         endpoint +
         R"(/requests/{request_id}": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"type": "object", "properties": {)" +
         outputs + R"(}}}}}}}}}})";
}

inline const std::string painter_inputs =
    R"("prompt": {"type": "string"}, "image_size": {"type": "object", "properties": {"width": {"type": "integer", "maximum": 2048},
       "height": {"type": "integer", "maximum": 2048}}}, "num_images": {"type": "integer", "minimum": 1, "maximum": 4},
       "guidance_scale": {"type": "number", "maximum": 20}, "output_format": {"type": "string", "enum": ["jpeg", "png"]})";
inline const std::string editor_inputs =
    painter_inputs +
    R"(, "image_url": {"type": "string"}, "strength": {"type": "number", "maximum": 1})";

/// Serves documents by endpoint id and answers status requests by key. Unknown ids get 404, unknown
/// keys `other_keys`.
class FakeFal {
 public:
  std::map<std::string, std::string> documents = {};
  std::map<std::string, Script> keys = {};
  Script other_keys = answer(401, R"({"detail":"No user found for Key ID and Secret"})");

  [[nodiscard]] app::Surroundings surroundings(app::Environment environment) {
    return {
        .environment = std::move(environment),
        .in = in,
        .out = out,
        .err = err,
        .clock = clock,
        .executor = executor,
        .codecs = codecs,
        .transport = [this](const Settings&, const Proxies&) -> Result<std::unique_ptr<Transport>> {
          return std::unique_ptr<Transport>(std::make_unique<Forwarder>(transport));
        }};
  }
  /// "METHOD url" of every request so far.
  [[nodiscard]] std::vector<std::string> requests() const { return transport.requests(); }

  Folder folder;
  VirtualClock clock;
  InlineExecutor executor;
  PlainCodecs codecs;
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;

 private:
  class Forwarder final : public Transport {
   public:
    explicit Forwarder(Transport& to) : to_(to) {}
    [[nodiscard]] Result<Done, TransportError> send(const HttpRequest& request, TimePoint deadline,
                                                    std::stop_token stop,
                                                    ResponseSink& sink) override {
      return to_.send(request, deadline, std::move(stop), sink);
    }

   private:
    Transport& to_;
  };

  Script serve(const HttpRequest& request) {
    const std::size_t id = request.url.find("endpoint_id=");
    if (id != std::string::npos) {
      const auto found = documents.find(percent_decode(request.url.substr(id + 12)).value_or(""));
      return found == documents.end() ? answer(404, R"({"detail":"not found"})")
                                      : answer(200, found->second);
    }
    const std::string key(request.headers.find("authorization").value_or(""));
    const auto found = keys.find(key.substr(std::min(key.size(), std::size_t{4})));
    return found == keys.end() ? other_keys : found->second;
  }

 public:
  ScriptedTransport transport{clock, [this](const HttpRequest& request) { return serve(request); }};
};

inline const Script accepted_key = answer(404, R"({"status":"NOT_FOUND"})");

}  // namespace falproxy::inline v0::testing
