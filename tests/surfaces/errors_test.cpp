#include <doctest/doctest.h>

#include <string>

#include "falproxy/openai.hpp"

using namespace falproxy;

namespace {

std::string body(ErrorKind kind, std::string message, std::string field = {},
                 std::string_view model = {}) {
  return openai::write_error(Error{kind, std::move(message), std::move(field)}, model);
}

}  // namespace

TEST_CASE("an unknown model is told in OpenAI's words (rows 28 and 29)") {
  CHECK(
      body(ErrorKind::unknown_model, "The model 'bad model' does not exist.", "model") ==
      R"({"error":{"message":"The model 'bad model' does not exist.","type":"image_generation_user_error",)"
      R"("param":"model","code":"invalid_value"}})");
  CHECK(
      body(ErrorKind::model_not_found, "The model 'fake_id' does not exist", "model") ==
      R"({"error":{"message":"The model 'fake_id' does not exist","type":"invalid_request_error",)"
      R"("param":"model","code":"model_not_found"}})");
}

TEST_CASE("what an error quotes is cut before it is answered, as JSON and as an event") {
  const Error error{ErrorKind::invalid_value, "the value '" + std::string(5'000'000, 'v'),
                    std::string(5'000'000, 'f')};
  for (const std::string& text :
       {openai::write_error(error, "m"), openai::write_error_event(error, "m")}) {
    CHECK(text.size() < 5000);
    CHECK(text.find("(4995915 bytes more)") != std::string::npos);
    CHECK(text.find("(4999744 bytes more)") != std::string::npos);
  }
}

TEST_CASE("a wrong access key is told as OpenAI does it (row 25)") {
  CHECK(
      body(ErrorKind::invalid_access_key, "m") ==
      R"({"error":{"message":"m","type":"invalid_request_error","param":null,"code":"invalid_api_key"}})");
}

TEST_CASE("refused content has the code that the model's name leads clients to expect (row 32)") {
  for (const char* model : {"", "gpt-image-1", "flux", "my-dall-e"}) {
    CHECK(body(ErrorKind::content_policy, "m", {}, model).find(R"("code":"moderation_blocked")") !=
          std::string::npos);
  }
  for (const char* model : {"dall-e-2", "dall-e-3"}) {
    CHECK(body(ErrorKind::content_policy, "m", {}, model)
              .find(R"("code":"content_policy_violation")") != std::string::npos);
  }
  CHECK(openai::describe(ErrorKind::content_policy).status == 400);
}

TEST_CASE("all four keys are always there, and code is a string (row 36)") {
  for (int i = 0; i <= static_cast<int>(ErrorKind::internal); ++i) {
    const auto kind = static_cast<ErrorKind>(i);
    CAPTURE(std::string(name_of(kind)));
    const auto json = Json::parse(body(kind, "message \"with\"\n\x01 odd \xFF bytes"));
    REQUIRE(json.has_value());
    const Json error = *json->find("error");
    CHECK(error.size() == 4);
    CHECK(error.find("message")->is_string());
    CHECK(error.find("type")->is_string());
    CHECK(error.find("param")->is_null());
    CHECK(error.find("code")->is_string());
  }
}

TEST_CASE(
    "no failure looks like a success, and an operator's trouble not like the client's (rows 35 and "
    "37)") {
  for (int i = 0; i <= static_cast<int>(ErrorKind::internal); ++i) {
    CHECK(openai::describe(static_cast<ErrorKind>(i)).status >= 400);
  }
  for (const ErrorKind kind : {ErrorKind::keys_out, ErrorKind::keys_resting}) {
    CHECK(openai::describe(kind).status != 401);
    CHECK(openai::describe(kind).code != "invalid_api_key");
  }
  CHECK_FALSE(openai::describe(ErrorKind::keys_out).retry);
}

TEST_CASE("a failure in the middle of a stream is an event that both SDKs understand (row 55)") {
  const std::string event =
      openai::write_error_event(Error{ErrorKind::upstream_failed, "it\nfailed"}, "flux");
  CHECK(event ==
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"it\\nfailed\","
        "\"type\":\"image_generation_server_error\",\"param\":null,\"code\":\"image_generation_"
        "failed\"}}\n\n");
}
