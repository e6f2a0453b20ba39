#include "falproxy/proxies.hpp"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

using namespace falproxy;

namespace {

using Variables = std::map<std::string, std::string, std::less<>>;

Result<Proxies> proxies_of(const Variables& variables) {
  return Proxies::read([&](std::string_view name) -> std::optional<std::string_view> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

// "host:port" of the proxy that a request to `url` takes; "" if it goes directly.
std::string way_of(const Proxies& proxies, const std::string& url) {
  const Proxy* proxy = proxies.find(Url::parse(url).value());
  return proxy == nullptr ? "" : proxy->address();
}

std::string way_of(const Variables& variables, const std::string& url) {
  const Result<Proxies> proxies = proxies_of(variables);
  REQUIRE(proxies);
  return way_of(*proxies, url);
}

}  // namespace

TEST_CASE("a proxy's address is read as curl reads it") {
  struct Case {
    const char* text;
    const char* address;
    const char* credentials;
  };
  const std::vector<Case> cases{
      {"http://proxy.test:3128", "proxy.test:3128", ""},
      {"HTTP://Proxy.Test:3128/", "proxy.test:3128", ""},
      {"proxy.test:3128", "proxy.test:3128", ""},
      {"proxy.test", "proxy.test:1080", ""},
      {"http://proxy.test:80", "proxy.test:80", ""},
      {" http://10.0.0.1:3128/path?x#y ", "10.0.0.1:3128", ""},
      {"http://[::1]:3128", "[::1]:3128", ""},
      {"http://[::1]", "[::1]:1080", ""},
      {"http://user:pass@proxy.test:3128", "proxy.test:3128", "user:pass"},
      {"user@proxy.test:3128", "proxy.test:3128", "user:"},
      {"http://u%40x:p%3A%2F%40:q@proxy.test:3128", "proxy.test:3128", "u@x:p:/@:q"},
      {"http://user:p@ss@proxy.test:3128", "proxy.test:3128", "user:p@ss"},
      {"http://@proxy.test:3128", "proxy.test:3128", ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    const Result<Proxies> proxies = proxies_of({{"HTTPS_PROXY", c.text}});
    REQUIRE(proxies);
    const Proxy* proxy = proxies->find(Url::parse("https://queue.fal.run/").value());
    REQUIRE(proxy != nullptr);
    CHECK(proxy->address() == c.address);
    CHECK(proxy->credentials.reveal() == c.credentials);
    CHECK(proxy->setting == "HTTPS_PROXY");
  }
}

TEST_CASE("what is no HTTP proxy is refused by the name of its variable, and never quoted") {
  for (const char* text :
       {"socks5://hunter2:3128", "https://hunter2:3128", "http://", "http://hunter2:0",
        "http://hunter2:99999", "http://hunter2:x", "http://:hunter2@:3128", "hunter2 x:3128",
        "http://user:hunter2%@proxy.test", "http://user%3Ax:hunter2@proxy.test",
        "http://user:hunter2/x@proxy.test:3128", "hunter2://proxy.test:3128"}) {
    for (const char* name : {"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"}) {
      CAPTURE(text);
      const Result<Proxies> proxies = proxies_of({{name, text}});
      REQUIRE_FALSE(proxies);
      CHECK(proxies.error().kind == ErrorKind::invalid_settings);
      CHECK(proxies.error().field == name);
      CHECK(proxies.error().message.find("hunter2") == std::string::npos);
      CHECK(proxies.error().message.find("http://host:port") != std::string::npos);
    }
  }
}

TEST_CASE("each scheme has its variable, and the lower case name counts first") {
  const std::string https = "https://fal.test/", http = "http://fal.test/";
  const Variables both{{"HTTPS_PROXY", "s:1"}, {"HTTP_PROXY", "p:2"}};
  CHECK(way_of(both, https) == "s:1");
  CHECK(way_of(both, http) == "p:2");
  CHECK(way_of({{"HTTPS_PROXY", "s:1"}}, http) == "");
  CHECK(way_of({{"HTTPS_PROXY", "s:1"}, {"https_proxy", "t:3"}}, https) == "t:3");
  CHECK(way_of({{"HTTPS_PROXY", "s:1"}, {"https_proxy", " "}}, https) == "s:1");
  CHECK(way_of({{"http_proxy", "p:2"}}, http) == "p:2");
  CHECK(way_of({{"all_proxy", "a:4"}}, https) == "a:4");
  CHECK(way_of({{"ALL_PROXY", "a:4"}, {"HTTP_PROXY", "p:2"}}, http) == "p:2");
  CHECK(way_of({{"ALL_PROXY", "a:4"}, {"HTTP_PROXY", "p:2"}}, https) == "a:4");
  CHECK(way_of(Variables(), https) == "");
  // A scheme that has its own does not ask what all others would take.
  CHECK(way_of({{"ALL_PROXY", "socks5://a:4"}, {"HTTP_PROXY", "p:2"}, {"HTTPS_PROXY", "s:1"}},
               https) == "s:1");
}

TEST_CASE("in a CGI program only the lower case name counts for http") {
  const Variables cgi{{"REQUEST_METHOD", "GET"}, {"HTTP_PROXY", "evil:1"}, {"HTTPS_PROXY", "s:1"}};
  CHECK(way_of(cgi, "http://fal.test/") == "");
  CHECK(way_of(cgi, "https://fal.test/") == "s:1");
  CHECK(way_of({{"REQUEST_METHOD", "GET"}, {"http_proxy", "p:2"}}, "http://fal.test/") == "p:2");
}

TEST_CASE("NO_PROXY names what is reached directly") {
  struct Case {
    const char* no_proxy;
    const char* url;
    bool directly;
  };
  const std::vector<Case> cases{
      {"fal.run", "https://fal.run/", true},
      {"fal.run", "https://queue.fal.run/", true},
      {"fal.run", "https://notfal.run/", false},
      {"fal.run", "https://fal.run.test/", false},
      {"FAL.Run", "https://QUEUE.fal.run/", true},
      {".fal.run", "https://queue.fal.run/", true},
      {".fal.run", "https://fal.run/", true},
      {"*.fal.run", "https://queue.fal.run/", true},
      {"fal.run.", "https://queue.fal.run/", true},
      {"fal.run", "https://queue.fal.run./", true},
      {"a.test,fal.run", "https://fal.run/", true},
      {" a.test  fal.run\tb.test ", "https://fal.run/", true},
      {",,fal.run,,", "https://fal.run/", true},
      {"*", "https://fal.run/", true},
      {"a.test, *", "https://fal.run/", true},
      {"fal.run:443", "https://fal.run/", true},
      {"fal.run:443", "https://fal.run:8443/", false},
      {"fal.run:8443", "https://queue.fal.run:8443/", true},
      {"fal.run:80", "https://fal.run/", false},
      {"127.0.0.1", "https://127.0.0.1:8443/", true},
      {"127.0.0.1:8443", "https://127.0.0.1:8443/", true},
      {"127.0.0.1:1", "https://127.0.0.1:8443/", false},
      {"0.0.1", "https://127.0.0.1/", false},
      {"10.0.0.0/8", "https://10.200.3.4/", true},
      {"10.0.0.0/8", "https://11.0.0.1/", false},
      {"192.168.1.0/25", "https://192.168.1.127/", true},
      {"192.168.1.0/25", "https://192.168.1.128/", false},
      {"0.0.0.0/0", "https://8.8.8.8/", true},
      {"0.0.0.0/0", "https://[::1]/", false},
      {"0.0.0.0/0", "https://fal.run/", false},
      {"10.0.0.1/32", "https://10.0.0.1/", true},
      {"::1", "https://[::1]/", true},
      {"[::1]", "https://[::1]:8443/", true},
      {"[::1]:8443", "https://[::1]:8443/", true},
      {"[::1]:1", "https://[::1]:8443/", false},
      {"0:0:0:0:0:0:0:1", "https://[::1]/", true},
      {"fd00::/8", "https://[fd12::1]/", true},
      {"fd00::/8", "https://[fe80::1]/", false},
      {"::80", "https://[::80]:8443/", true},
      {"localhost", "https://127.0.0.1/", false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.no_proxy);
    CAPTURE(c.url);
    for (const char* name : {"NO_PROXY", "no_proxy"}) {
      CHECK((way_of({{"HTTPS_PROXY", "p:1"}, {name, c.no_proxy}}, c.url) == "") == c.directly);
    }
  }
  CHECK(way_of({{"HTTPS_PROXY", "p:1"}, {"NO_PROXY", "fal.run"}, {"no_proxy", "a.test"}},
               "https://fal.run/") == "p:1");
}

TEST_CASE("an entry of NO_PROXY that means nothing is named, and harms no other") {
  const Result<Proxies> proxies = proxies_of(
      {{"HTTPS_PROXY", "p:1"},
       {"NO_PROXY", "10.0.0.0/99, fal.run, http://x.test, me:hunter2@x.test:1, [x], a:b, .."}});
  REQUIRE(proxies);
  CHECK(proxies->not_understood() ==
        std::vector<std::string>{"entry 1 ('10.0.0.0/99')", "entry 3 ('http://x.test')", "entry 4",
                                 "entry 5 ('[x]')", "entry 6 ('a:b')", "entry 7 ('..')"});
  CHECK(way_of(*proxies, "https://fal.run/") == "");
  CHECK(way_of(*proxies, "https://x.test/") == "p:1");
}

TEST_CASE("one line tells the operator where requests go, without a password") {
  const auto line = [](const Variables& variables) {
    return proxies_of(variables).value().describe();
  };
  CHECK(line({}) == "");
  CHECK(line({{"HTTPS_PROXY", "p:1"}, {"NO_PROXY", "*"}}) == "");
  CHECK(line({{"NO_PROXY", "fal.run"}}) == "");
  CHECK(line({{"https_proxy", "http://me:hunter2@p.test:1"}}) ==
        "outgoing requests: https through the proxy p.test:1 (https_proxy, with a password), http "
        "directly");
  CHECK(line({{"ALL_PROXY", "p.test:1"}, {"NO_PROXY", "fal.run 10.0.0.0/8, x@y"}}) ==
        "outgoing requests: https through the proxy p.test:1 (ALL_PROXY), http through the proxy "
        "p.test:1 (ALL_PROXY); directly to fal.run, 10.0.0.0/8 (NO_PROXY)");
}
