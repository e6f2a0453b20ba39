#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/http.hpp"
#include "falproxy/suggest.hpp"
#include "settings/lists.hpp"
#include "settings/words.hpp"

namespace falproxy::inline v0 {
namespace {

constexpr std::string_view folder_scheme = "dir:", bucket_scheme = "s3://";
constexpr const char* form =
    "write dir:/path?ttl_days=30&max_bytes=50GB&access=public, or s3://bucket/prefix?region=...";

// One parameter of the address.
struct Parameter {
  std::string_view name;
  bool of_bucket;  // means something to S3 alone
  void (*read)(SettingValue& value, MediaPlace& into);
};

void read_endpoint(SettingValue& value, MediaPlace& into) {
  value.address(into.endpoint);
  const std::optional<Url> url = Url::parse(into.endpoint);
  if (url && url->target == "/") return;
  into.endpoint.clear();
  value.fault("has a path", "write https://host or https://host:port");
}

constexpr std::array parameters = {
    Parameter{"ttl_days", false,
              [](SettingValue& v, MediaPlace& p) { v.duration(p.ttl, 0, 36'500); }},
    Parameter{"max_bytes", false, [](SettingValue& v, MediaPlace& p) { v.bytes(p.max_bytes); }},
    Parameter{"access", false,
              [](SettingValue& v, MediaPlace& p) { v.choice(p.access, media_accesses); }},
    Parameter{"link_hours", false,
              [](SettingValue& v, MediaPlace& p) { v.duration(p.link_life, 1, 8'760); }},
    Parameter{"endpoint", true, read_endpoint},
    Parameter{"region", true, [](SettingValue& v, MediaPlace& p) { v.word(p.region); }},
    Parameter{"virtual_host", true,
              [](SettingValue& v, MediaPlace& p) { v.boolean(p.virtual_host); }},
};

// False: there is a fault.
bool read_parameters(SettingValue& value, std::string_view query, MediaPlace& into) {
  bool fine = true;
  for_each_part(query, '&', [&](std::string_view pair) {
    if (pair.empty()) return;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view name = pair.substr(0, equals);
    const std::string text =
        percent_decode(pair.substr(std::min(equals + 1, pair.size()))).value_or("");
    const auto known = std::ranges::find(parameters, name, &Parameter::name);
    if (known == parameters.end() || (known->of_bucket && into.is_folder())) {
      fine = false;
      std::vector<std::string_view> names;
      for (const Parameter& one : parameters) {
        if (!one.of_bucket || !into.is_folder()) names.push_back(one.name);
      }
      const std::string_view near = nearest(name, names);
      value.fault("has a parameter that it does not know",
                  near.empty() ? fmt::format("it knows {}", fmt::join(names, ", "))
                               : fmt::format("did you mean {}?", near));
      return;
    }
    SettingValue part = value.part(known->name, text);
    const std::size_t before = value.faults();
    known->read(part, into);
    fine = fine && value.faults() == before;
  });
  return fine;
}

bool is_bucket_name(std::string_view name) {
  return name.size() >= 3 && name.size() <= 63 && std::ranges::all_of(name, [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '.';
         });
}

}  // namespace

void read_media_store(SettingValue& value, Settings& into) {
  const std::string_view text = value.text();
  if (equal_ignoring_case(text, "none")) return;
  const std::size_t mark = std::min(text.find('?'), text.size());
  MediaPlace place;
  if (text.starts_with(folder_scheme)) {
    place.folder =
        percent_decode(text.substr(folder_scheme.size(), mark - folder_scheme.size())).value_or("");
    if (place.folder.empty()) return value.fault("names no folder", form);
  } else if (text.starts_with(bucket_scheme)) {
    std::string_view path = text.substr(bucket_scheme.size(), mark - bucket_scheme.size());
    while (path.ends_with('/')) path.remove_suffix(1);
    const std::size_t slash = std::min(path.find('/'), path.size());
    place.bucket = std::string(path.substr(0, slash));
    place.prefix = std::string(path.substr(std::min(slash + 1, path.size())));
    if (!is_bucket_name(place.bucket))
      return value.fault("names no bucket", "write s3://bucket or s3://bucket/prefix?region=...");
  } else {
    return value.fault("is no place for files", form);
  }
  if (!read_parameters(value, text.substr(std::min(mark + 1, text.size())), place)) return;
  into.media_store = std::move(place);
}

}  // namespace falproxy::inline v0
