#include "tracing/otel_settings.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/http.hpp"

namespace falproxy::app {
namespace {

bool may_be_field(const std::pair<std::string, std::string>& header) {
  const auto in_name = [](char c) {
    constexpr std::string_view others = "!#$%&'*+-.^_`|~";
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           others.find(c) != std::string_view::npos;
  };
  const auto in_value = [](char c) { return c == '\t' || (c >= ' ' && c != 0x7f); };
  return std::ranges::all_of(header.first, in_name) && std::ranges::all_of(header.second, in_value);
}

class Reader {
 public:
  Reader(const std::function<std::string(std::string_view)>& value,
         std::vector<SettingsFault>& warnings)
      : value_(value), warnings_(warnings) {}

  void warn(std::string_view name, std::string message, std::string mend) {
    warnings_.push_back(
        {.variable = std::string(name), .message = std::move(message), .mend = std::move(mend)});
  }

  [[nodiscard]] std::string text(std::string_view name) const { return value_(name); }

  [[nodiscard]] bool is_true(std::string_view name) {
    const std::string text = to_lower(value_(name));
    if (!text.empty() && text != "true" && text != "false")
      warn(name, "is neither true nor false, and counts as false", "write true or false");
    return text == "true";
  }

  [[nodiscard]] std::int64_t integer(std::string_view name, std::int64_t otherwise,
                                     std::int64_t most) {
    const std::string text = value_(name);
    if (text.empty()) return otherwise;
    std::int64_t number = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (fault == std::errc() && end == text.data() + text.size() && number > 0 && number <= most)
      return number;
    warn(name, fmt::format("is no whole number from 1 to {}, so {} is taken", most, otherwise),
         fmt::format("write a number such as {}", otherwise));
    return otherwise;
  }

  /// `a=b,c=d`, its values percent-encoded. `are_fields`: each must do as a header field, too.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> pairs(std::string_view name,
                                                                       bool are_fields = false) {
    std::vector<std::pair<std::string, std::string>> found;
    const std::string text = value_(name);
    std::string_view left = text;
    for (int place = 1; !left.empty(); ++place) {
      const std::size_t end = std::min(left.find(','), left.size());
      const std::string_view one = trim(left.substr(0, end));
      left.remove_prefix(std::min(end + 1, left.size()));
      if (one.empty()) continue;
      const std::size_t sign = one.find('=');
      const auto key = trim(one.substr(0, std::min(sign, one.size())));
      const auto value = sign == std::string_view::npos
                             ? std::optional<std::string>()
                             : percent_decode(trim(one.substr(sign + 1)));
      const bool is_pair = !key.empty() && value.has_value();
      if (is_pair && (!are_fields || may_be_field({std::string(key), *value}))) {
        found.emplace_back(key, *value);
        continue;
      }
      // What stands there may be a key, so it is not quoted.
      warn(name,
           fmt::format("its entry {} is {}; it is passed over", place,
                       is_pair ? "no header field" : "not name=value"),
           "write name=value,name=value, with %2C for a comma in a value");
    }
    return found;
  }

 private:
  const std::function<std::string(std::string_view)>& value_;
  std::vector<SettingsFault>& warnings_;
};

std::string read_endpoint(Reader& reader) {
  constexpr std::string_view traces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
  constexpr std::string_view all = "OTEL_EXPORTER_OTLP_ENDPOINT";
  std::string address = reader.text(traces);
  const bool is_whole = !address.empty();
  if (!is_whole) address = reader.text(all);
  if (address.empty()) return {};
  if (!is_whole) address += address.ends_with('/') ? "v1/traces" : "/v1/traces";
  if (Url::parse(address)) return address;
  reader.warn(is_whole ? traces : all, "is no http or https address, so there are no traces",
              "write one, such as http://localhost:4318");
  return {};
}

Sampling read_sampling(Reader& reader) {
  constexpr std::string_view name = "OTEL_TRACES_SAMPLER";
  constexpr std::string_view share = "OTEL_TRACES_SAMPLER_ARG";
  constexpr std::string_view parent = "parentbased_";
  const std::string given = to_lower(reader.text(name));
  std::string_view text = given;
  Sampling sampling{.by_parent = text.empty() || text.starts_with(parent)};
  if (text.starts_with(parent)) text.remove_prefix(parent.size());
  if (text.empty() || text == "always_on") return sampling;
  if (text == "always_off") {
    sampling.ratio = 0;
  } else if (text == "traceidratio") {
    const std::string argument = reader.text(share);
    double ratio = 1;
    const auto [end, fault] =
        std::from_chars(argument.data(), argument.data() + argument.size(), ratio);
    const bool is_number = fault == std::errc() && end == argument.data() + argument.size();
    if (is_number && ratio >= 0 && ratio <= 1) {
      sampling.ratio = ratio;
    } else if (!argument.empty()) {
      reader.warn(share, "is no number from 0 to 1, so every request is traced",
                  "write a number such as 0.1");
    }
  } else {
    reader.warn(name, "is not known, so parentbased_always_on is taken",
                "write always_on, always_off, traceidratio, or one of them behind parentbased_");
    return {};
  }
  return sampling;
}

}  // namespace

OtelSettings read_otel_settings(const std::function<std::string(std::string_view)>& value,
                                std::vector<SettingsFault>& warnings) {
  Reader reader(value, warnings);
  OtelSettings settings;
  if (reader.is_true("OTEL_SDK_DISABLED") || reader.text("OTEL_TRACES_EXPORTER") == "none")
    return settings;
  settings.endpoint = read_endpoint(reader);
  if (settings.endpoint.empty()) return settings;
  for (const std::string_view name :
       {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"}) {
    const std::string protocol = reader.text(name);
    if (protocol.empty() || protocol == "http/json") continue;
    reader.warn(name, "is not http/json, which is what falproxy sends",
                "name an address in the endpoint that takes OTLP over HTTP, such as port 4318");
    break;
  }
  for (const std::string_view name :
       {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"}) {
    if (settings.headers.empty()) settings.headers = reader.pairs(name, true);
  }
  const std::int64_t timeout =
      reader.integer("OTEL_EXPORTER_OTLP_TIMEOUT", settings.timeout.count(), 600'000);
  settings.timeout =
      Milliseconds(reader.integer("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", timeout, 600'000));
  settings.queue_spans =
      static_cast<std::size_t>(reader.integer("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 100'000));
  settings.batch_spans =
      static_cast<std::size_t>(reader.integer("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 10'000));
  settings.batch_spans = std::min(settings.batch_spans, settings.queue_spans);
  settings.delay =
      Milliseconds(reader.integer("OTEL_BSP_SCHEDULE_DELAY", settings.delay.count(), 600'000));
  settings.resource = reader.pairs("OTEL_RESOURCE_ATTRIBUTES");
  std::string service = reader.text("OTEL_SERVICE_NAME");
  const auto named = std::ranges::find(settings.resource, "service.name",
                                       &std::pair<std::string, std::string>::first);
  if (named == settings.resource.end()) {
    settings.resource.emplace_back("service.name", service.empty() ? "falproxy" : service);
  } else if (!service.empty()) {
    named->second = std::move(service);
  }
  settings.sampling = read_sampling(reader);
  settings.capture_content = reader.is_true("OTEL_CAPTURE_CONTENT");
  return settings;
}

}  // namespace falproxy::app
