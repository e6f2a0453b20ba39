// Input: a proxy, a NO_PROXY, a URL; a line each.
#include "falproxy/proxies.hpp"

#include <string>

#include "base/text.hpp"
#include "law.hpp"

using namespace falproxy;
using fuzz::hold;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> lines;
  for_each_part(fuzz::text(data, size), '\n',
                [&](std::string_view line) { lines.emplace_back(line); });
  lines.resize(3);
  const std::string &text = lines[0], &no_proxy = lines[1];
  const auto read = [&](const std::string& direct) {
    return Proxies::read([&](std::string_view name) -> std::optional<std::string_view> {
      if (name == "HTTPS_PROXY") return text;
      if (name == "NO_PROXY") return direct;
      return std::nullopt;
    });
  };
  const Result<Proxies> proxies = read(no_proxy);
  if (!proxies) {
    hold(proxies.error().field == "HTTPS_PROXY", "a fault names its variable");
    hold(proxies.error().message.size() < 200,
         "a fault quotes no proxy, whose password may be long");
    return 0;
  }
  const std::optional<Url> url = Url::parse(lines[2]);
  if (!url) return 0;
  const Proxy* proxy = proxies->find(*url);
  if (proxy == nullptr) return 0;
  hold(url->scheme == "https", "the proxy for https is for https");
  const std::optional<Url> address = Url::parse("http://" + proxy->address());
  hold(address && address->host == proxy->host && address->port == proxy->port,
       "a proxy has a host and a port");
  const std::string credentials(proxy->credentials.reveal());
  hold(credentials.size() < 60 || proxies->describe().find(credentials) == std::string::npos ||
           no_proxy.find(credentials) != std::string::npos,
       "no password is told");
  const Result<Proxies> without = read(url->host);
  hold(without && (url->host.find(':') != std::string::npos ||
                   url->host.find_first_not_of('.') == std::string::npos ||
                   without->find(*url) == nullptr || without->not_understood().size() == 1),
       "what NO_PROXY names is reached directly");
  return 0;
}
