// Input: a URL, a base address, a list of media hosts; a line each.
#include <algorithm>
#include <string>

#include "base/text.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/http.hpp"
#include "law.hpp"

using namespace falproxy;
using fuzz::hold;

namespace {

void check_url(const Url& url) {
  hold(url.scheme == "http" || url.scheme == "https", "a URL is http or https");
  hold(!url.host.empty(), "a URL has a host");
  hold(url.port != 0, "a URL has a port");
  hold(url.target.starts_with('/'), "a target begins with a slash");
  for (const char c : url.host + url.target) {
    hold(static_cast<unsigned char>(c) > ' ' && c != 0x7f,
         "no blank or control character is in a URL");
  }
  hold(url.host.find_first_of("@/?#\\") == std::string::npos, "a host is nothing but a host");
  hold(url.target.find('#') == std::string::npos, "a target has no fragment");
  const auto again = Url::parse(url.origin() + url.target);
  hold(again.has_value(), "what is written from a URL is a URL");
  hold(*again == url, "a URL that is written reads as what it was");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> lines;
  for_each_part(fuzz::text(data, size), '\n',
                [&](std::string_view line) { lines.emplace_back(line); });
  lines.resize(3);
  const auto& [text, base, list] = std::tie(lines[0], lines[1], lines[2]);

  const auto url = Url::parse(text);
  if (url) check_url(*url);
  hold(fal::same_origin(text, base) == fal::same_origin(base, text), "having one origin is mutual");
  if (fal::same_origin(text, base)) {
    hold(url.has_value(), "only URLs have an origin");
    const std::string origin = Url::parse(base)->origin();
    hold(url->origin() == origin, "a key goes to its own origin only");
  }
  if (url) hold(fal::same_origin(text, text), "a URL has its own origin");

  const auto hosts = fal::MediaHosts::parse(list);
  if (hosts && url && hosts->allow(*url)) {
    bool named = false;
    for_each_part(list, ',', [&](std::string_view entry) {
      std::string rule = to_lower(trim(entry));
      const std::size_t star = rule.find("*.");
      if (star != std::string::npos) rule = rule.substr(star + 2);
      named = named || rule.find(url->host) != std::string::npos ||
              (star != std::string::npos &&
               url->host.find(rule.substr(0, rule.find_first_of(":/"))) != std::string::npos);
    });
    hold(named, "an image comes from a host that the list names");
    hold(url->scheme == "https" || list.find("http://") != std::string::npos ||
             list.find("HTTP://") != std::string::npos ||
             to_lower(list).find("http://") != std::string::npos,
         "http is for hosts that are listed with http");
  }

  const auto endpoint = fal::EndpointId::parse(text);
  if (endpoint) {
    const auto again = fal::EndpointId::parse(endpoint->str());
    hold(again.has_value() && again->str() == endpoint->str(),
         "an endpoint id reads as what it was");
    hold(endpoint->str().starts_with(endpoint->app()), "an endpoint begins with its app");
    hold(endpoint->str().find("..") == std::string::npos ||
             endpoint->str().find("/../") == std::string::npos,
         "no endpoint climbs");
  }
  const auto decoded = percent_decode(text);
  hold(percent_decode(percent_encode(text)) == std::string(text),
       "what is encoded decodes to what it was");
  (void)decoded;
  return 0;
}
