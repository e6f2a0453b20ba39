#include <doctest/doctest.h>

#include <string>

#include "falproxy/fal.hpp"

using namespace falproxy;
using fal::EndpointId;

TEST_CASE("an endpoint id is kept whole for the submit and cut to its app for the rest") {
  struct Case {
    const char* text;
    const char* id;
    const char* app;
  };
  const Case cases[] = {
      {"fal-ai/flux", "fal-ai/flux", "fal-ai/flux"},
      {"fal-ai/flux/dev", "fal-ai/flux/dev", "fal-ai/flux"},
      {"fal-ai/flux-pro/v1.1-ultra", "fal-ai/flux-pro/v1.1-ultra", "fal-ai/flux-pro"},
      {"bytedance/seedream/v5/a/b/c/d", "bytedance/seedream/v5/a/b/c/d", "bytedance/seedream"},
      {"workflows/owner/name", "workflows/owner/name", "workflows/owner/name"},
      {"workflows/owner/name/path", "workflows/owner/name/path", "workflows/owner/name"},
      {"comfy/owner/name/path", "comfy/owner/name/path", "comfy/owner/name"},
      {"12345-sd-turbo", "12345/sd-turbo", "12345/sd-turbo"},
      {"12345-a/b", "12345-a/b", "12345-a/b"},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.text));
    const auto id = EndpointId::parse(c.text);
    REQUIRE(id.has_value());
    CHECK(id->str() == c.id);
    CHECK(id->app() == c.app);
  }
}

TEST_CASE("what is no endpoint id is refused with the reason") {
  struct Case {
    const char* name;
    std::string text;
    const char* reason;
  };
  const Case cases[] = {
      {"nothing", "", "is empty"},
      {"one part", "flux", "owner/name"},
      {"one part that only looks legacy", "12345-", "owner/name"},
      {"an owner alone in a namespace", "workflows/owner", "workflows/owner/name"},
      {"eight parts", "a/b/c/d/e/f/g/h", "more than 7"},
      {"a leading slash", "/fal-ai/flux", "empty part"},
      {"a trailing slash", "fal-ai/flux/", "empty part"},
      {"a doubled slash", "fal-ai//flux", "empty part"},
      {"a way up", "fal-ai/../flux", "\"..\""},
      {"a dot", "fal-ai/./flux", "\".\""},
      {"a blank", "fal-ai/fl ux", "may hold only"},
      {"an escape", "fal-ai/%2e%2e/x", "may hold only"},
      {"a query", "fal-ai/flux?x=1", "may hold only"},
      {"a line end", "fal-ai/flux\r\nHost: x", "may hold only"},
      {"an address", "https://fal.run/fal-ai/flux", "may hold only"},
      {"another script", "fal-ai/fl\xC3\xBCx", "may hold only"},
      {"a NUL", std::string("fal-ai/fl\0x", 11), "may hold only"},
      {"far too long", std::string(100, 'a') + "/" + std::string(100, 'b'), "longer"},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.name));
    const auto id = EndpointId::parse(c.text);
    REQUIRE_FALSE(id.has_value());
    CHECK(id.error().kind == ErrorKind::invalid_value);
    CHECK_MESSAGE(id.error().message.find(c.reason) != std::string::npos, id.error().message);
  }
}
