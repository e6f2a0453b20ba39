// OpenTelemetry's variables, and the fields of W3C Trace Context.
#include "tracing/otel_settings.hpp"

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tracing/span.hpp"
#include "tracing/tracer.hpp"

namespace falproxy::app {
namespace {

using Set = std::map<std::string, std::string, std::less<>>;

struct ReadSettings {
  OtelSettings settings;
  std::vector<std::string> warned;  // which variables
};

ReadSettings read(Set set) {
  std::vector<SettingsFault> warnings;
  ReadSettings read{.settings = read_otel_settings(
                        [&](std::string_view name) {
                          const auto found = set.find(name);
                          return found == set.end() ? std::string() : found->second;
                        },
                        warnings),
                    .warned = {}};
  for (const SettingsFault& warning : warnings) {
    CHECK_FALSE(warning.message.empty());
    CHECK_FALSE(warning.mend.empty());
    read.warned.push_back(warning.variable);
  }
  return read;
}

TEST_CASE("the endpoint of traces is taken as it is, and the one of all gets their path") {
  CHECK(read({}).settings.endpoint.empty());
  CHECK(read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"}}).settings.endpoint ==
        "http://c:4318/v1/traces");
  CHECK(read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c/otlp/"}}).settings.endpoint ==
        "http://c/otlp/v1/traces");
  CHECK(read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"},
              {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/x"}})
            .settings.endpoint == "https://t/x");
  const ReadSettings wrong = read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"}});
  CHECK(wrong.settings.endpoint.empty());
  CHECK(wrong.warned == std::vector<std::string>{"OTEL_EXPORTER_OTLP_ENDPOINT"});
}

TEST_CASE("headers, resource and times are read as the specification has them") {
  const ReadSettings got =
      read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"},
            {"OTEL_EXPORTER_OTLP_HEADERS", "a=1"},
            {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-a=Basic%20b%3D, y=2"},
            {"OTEL_EXPORTER_OTLP_TIMEOUT", "2500"},
            {"OTEL_RESOURCE_ATTRIBUTES", "deployment=a%2Cb,service.name=other"},
            {"OTEL_SERVICE_NAME", "pictures"}});
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  CHECK(got.settings.headers == Pairs{{"x-a", "Basic b="}, {"y", "2"}});
  CHECK(got.settings.resource == Pairs{{"deployment", "a,b"}, {"service.name", "pictures"}});
  CHECK(got.settings.timeout == Milliseconds(2500));
  CHECK(got.warned.empty());
}

TEST_CASE("a value that cannot be used is passed over, with a warning") {
  const Set right = {{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"}};
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"OTEL_EXPORTER_OTLP_TIMEOUT", "soon"},     {"OTEL_EXPORTER_OTLP_TIMEOUT", "-1"},
      {"OTEL_BSP_MAX_QUEUE_SIZE", "0"},           {"OTEL_EXPORTER_OTLP_HEADERS", "a"},
      {"OTEL_RESOURCE_ATTRIBUTES", "a=%zz"},      {"OTEL_TRACES_SAMPLER", "jaeger_remote"},
      {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"},    {"OTEL_CAPTURE_CONTENT", "yes"},
      {"OTEL_EXPORTER_OTLP_HEADERS", "a%b=%0d1"}, {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=%0d1"},
  };
  for (const std::pair<std::string, std::string>& setting : wrong) {
    const std::string& name = setting.first;
    const std::string& value = setting.second;
    CAPTURE(name);
    CAPTURE(value);
    Set set = right;
    set[name] = value;
    const ReadSettings got = read(set);
    CHECK(got.warned == std::vector<std::string>{name});
    CHECK(got.settings == read(right).settings);
  }
}

TEST_CASE("a sampler says which requests are traced") {
  const auto share_of = [](const std::string& name, const std::string& argument,
                           std::optional<bool> sender) {
    Tracer tracer(read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"},
                        {"OTEL_TRACES_SAMPLER", name},
                        {"OTEL_TRACES_SAMPLER_ARG", argument}})
                      .settings);
    std::optional<SpanContext> of;
    int sampled = 0;
    for (std::uint64_t i = 0; i < 1000; ++i) {
      // Whole traces of other programs, spread as ids are.
      if (sender)
        of = SpanContext{.trace = {1, i * 0x9e3779b97f4a7c15ULL}, .span = 1, .sampled = *sender};
      sampled += tracer.begin_trace(of)->sampled ? 1 : 0;
    }
    return sampled;
  };
  CHECK(share_of("", "", std::nullopt) == 1000);
  CHECK(share_of("", "", false) == 0);
  CHECK(share_of("always_on", "", false) == 1000);
  CHECK(share_of("always_off", "", true) == 0);
  CHECK(share_of("parentbased_always_off", "", std::nullopt) == 0);
  CHECK(share_of("parentbased_always_off", "", true) == 1000);
  CHECK(share_of("traceidratio", "0", true) == 0);
  CHECK(share_of("parentbased_traceidratio", "0.25", true) == 1000);
  const int quarter = share_of("traceidratio", "0.25", false);
  CHECK(quarter > 200);
  CHECK(quarter < 300);
}

TEST_CASE("traceparent is read strictly, and written as it was read") {
  const std::string right = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const auto context = parse_traceparent(right, "a=1");
  REQUIRE(context.has_value());
  CHECK(context->sampled);
  CHECK(context->state == "a=1");
  CHECK(to_traceparent(*context) == right);
  CHECK(parse_traceparent("01" + right.substr(2) + "-more", "").has_value());
  CHECK(parse_traceparent(right, std::string(513, 'a'))->state.empty());
  for (const std::string& wrong : std::initializer_list<std::string>{
           std::string(), right.substr(1), right + "-more", "ff" + right.substr(2),
           "01" + right.substr(2) + "more",
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
           "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
           "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_traceparent(wrong, "").has_value());
  }
}

}  // namespace
}  // namespace falproxy::app
