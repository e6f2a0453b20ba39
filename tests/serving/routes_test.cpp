#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "serving/request.hpp"

namespace falproxy::serving {
namespace {

Router table() {
  const Handler none = [](Request&) { return Response{}; };
  return Router({{"GET", "/", none, "0"},
                 {"GET", "/health", none, "1"},
                 {"GET", "/models", none, "2"},
                 {"GET", "/models/*id", none, "3"},
                 {"POST", "/images/generations", none, "4"},
                 {"GET", "/videos/:id", none, "5"},
                 {"DELETE", "/videos/:id", none, "6"},
                 {"GET", "/videos/:id/content", none, "7"}});
}

TEST_CASE("an address finds its row, however it is written") {
  const Router router = table();
  struct Case {
    const char* method;
    const char* path;
    const char* row;
    const char* parameter;
  };
  const std::vector<Case> cases = {
      {"GET", "/", "0", ""},
      {"GET", "/v1", "0", ""},
      {"GET", "/health", "1", ""},
      {"HEAD", "/health", "1", ""},
      {"GET", "/v1/health/", "1", ""},
      {"GET", "//v1//models", "2", ""},
      {"GET", "/models/", "2", ""},
      {"GET", "/v1/models/fal-ai/flux/dev", "3", "fal-ai/flux/dev"},
      {"GET", "/v1/models/fal-ai%2Fflux%2Fdev", "3", "fal-ai/flux/dev"},
      {"GET", "/models/v1", "3", "v1"},
      {"POST", "/v1/images/generations", "4", ""},
      {"POST", "/v1/v1/images/generations", "4", ""},
      {"POST", "/api/v1/images/generations", "4", ""},
      {"POST", "/openai/v1/images/generations", "4", ""},
      {"POST", "/images/gener%61tions", "4", ""},
      {"GET", "/v1/videos/a%2Fb", "5", "a/b"},
      {"DELETE", "/v1/videos/a", "6", "a"},
      {"GET", "/v1/videos/a/content", "7", "a"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.path);
    const Match match = router.find(c.method, c.path);
    REQUIRE(match.route != nullptr);
    CHECK(match.route->name == c.row);
    CHECK((match.parameters.empty() ? "" : match.parameters.front().second) == c.parameter);
  }
}

TEST_CASE("an address that nobody has, or only for other methods, is told apart") {
  const Router router = table();
  for (const char* path :
       {"/v2/models", "/healthy", "/health/x", "/images", "/images/generations/v1", "/models%",
        "/models/%zz", "/%2fhealth", "/videos/a/b"}) {
    CAPTURE(path);
    const Match match = router.find("GET", path);
    CHECK(match.route == nullptr);
    CHECK_FALSE(match.path_known);
  }
  CHECK(router.find("POST", "/health").path_known);
  CHECK(router.find("POST", "/health").route == nullptr);
  CHECK(router.allowed_methods("/v1/videos/a") == "GET, HEAD, DELETE, OPTIONS");
  CHECK(router.allowed_methods("/images/generations") == "POST, OPTIONS");
}

}  // namespace
}  // namespace falproxy::serving
