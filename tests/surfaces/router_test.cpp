#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "falproxy/chat_router.hpp"
#include "falproxy/json.hpp"

namespace falproxy::tests {

namespace {

std::optional<Usd> cost_in(std::string_view answer, bool is_stream, std::size_t step) {
  router::CostReader reader(is_stream);
  for (std::size_t at = 0; at < answer.size(); at += step) reader.feed(answer.substr(at, step));
  return reader.cost();
}

}  // namespace

TEST_CASE("the model of a body is found wherever it stands, and only at its top") {
  for (const char* body :
       {R"({"model":"a/b"})", R"( { "n" : [1,{"model":"x"}] , "model" : "a/b" , "z":"}" } )",
        R"({"m\u006fdel":"a\/b"})", R"({"s":"\"model\":\"x\"","model":"a/b","t":{}})"}) {
    CAPTURE(body);
    const auto found = router::find_model(body);
    REQUIRE(found);
    REQUIRE(found->has_value());
    CHECK((*found)->name == "a/b");
    const std::string other = router::with_model(body, *found, "c/d");
    CHECK(Json::parse(other)->find("model")->as_string() == "c/d");
    CHECK(other.size() - 5 == std::string_view(body).size() - ((*found)->end - (*found)->begin));
  }
  CHECK_FALSE((*router::find_model(R"({"n":1})")).has_value());
  CHECK((*router::find_model(R"({"model":null})"))->name.empty());
  CHECK(router::with_model(R"({"n":1})", std::nullopt, "a/b") == R"({"model":"a/b","n":1})");
  CHECK(router::with_model(" { } ", std::nullopt, "a/b") == R"( {"model":"a/b" } )");
}

TEST_CASE("a body in which two readers could see two models is refused") {
  for (const char* body :
       {R"({"model":"a/b","model":"c/d"})", R"({"model":"a/b","mode\u006c":"c/d"})", "[]", "", "{",
        R"({"model":"a/b")", R"({"model":"a/b"} {})", R"({"a":1]})", R"({"a":})", R"({"a" 1})",
        R"({"model":"a/b)"}) {
    CAPTURE(body);
    const auto found = router::find_model(body);
    REQUIRE_FALSE(found);
    CHECK(found.error().kind == ErrorKind::invalid_json);
  }
  CHECK(router::find_model(R"({"model":7})").error().kind == ErrorKind::invalid_type);
  CHECK(router::find_model(R"({"model":")" + std::string(300, 'a') + "\"}").error().kind ==
        ErrorKind::invalid_value);
}

TEST_CASE("the cost of an answer is read as it comes, however it is cut") {
  const std::string whole =
      R"({"choices":[{"message":{"content":"\"usage\":{\"cost\":9}"}}],"usage":{"prompt_tokens":7,"cost":0.00025,"details":{"cost":5}}})";
  const std::string stream =
      ": it's \"usage\":{\"cost\":1}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
      "data: {\"choices\":[],\"usage\":{\"cost\":2.5e-4}}\n\ndata: [DONE]\n\n";
  const std::string responses =
      "event: response.completed\r\ndata: "
      "{\"type\":\"response.completed\",\"response\":{\"tools\":[{\"usage\":{\"cost\":0}}],"
      "\"usage\":{\"cost\":0.00025},\"metadata\":{\"usage\":{\"cost\":0}}}}\r\n\r\n";
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{100'000}}) {
    CAPTURE(step);
    CHECK(cost_in(whole, false, step) == Usd::parse("0.00025"));
    CHECK(cost_in(stream, true, step) == Usd::parse("0.00025"));
    CHECK(cost_in(responses, true, step) == Usd::parse("0.00025"));
    CHECK_FALSE(cost_in(R"({"usage":{"prompt_tokens":7}})", false, step));
    CHECK_FALSE(
        cost_in(R"({"cost":1,"a":{"usage":{"cost":1}},"usage":{"cost":"1"}})", false, step));
  }
}

TEST_CASE("a failure of the router has OpenAI's four keys, and a code that is text") {
  CHECK(
      router::write_error(
          400, R"({"error":{"message":"no such model","code":400,"metadata":{"a":1}}})") ==
      R"({"error":{"message":"no such model","type":"invalid_request_error","param":null,"code":"invalid_request"}})");
  CHECK(
      router::write_error(404, R"({"detail":"Not Found"})") ==
      R"({"error":{"message":"Not Found","type":"invalid_request_error","param":null,"code":"model_not_found"}})");
  CHECK(router::write_error(422, R"({"detail":[{"msg":"too long","loc":["body"]}]})")
            .find("too long") != std::string::npos);
  CHECK(router::write_error(502, "<html>").find(R"("code":"upstream_failed")") !=
        std::string::npos);
  CHECK(router::write_error(
            429,
            R"({"error":{"message":"slow","code":"rate_limited","type":"limit","param":"a"}})") ==
        R"({"error":{"message":"slow","type":"limit","param":"a","code":"rate_limited"}})");
}

}  // namespace falproxy::tests
