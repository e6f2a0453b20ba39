// Whatever somebody sends to the doors beside /v1/images: it is read, or refused in words that name
// a field.
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "falproxy/openai_chat.hpp"
#include "falproxy/openai_responses.hpp"
#include "falproxy/openrouter.hpp"
#include "parsing.hpp"

namespace falproxy::tests {
namespace {

bool nobodys(std::string_view) { return false; }

// A value of every kind, those that stand in talks more often.
class OddValues {
 public:
  explicit OddValues(unsigned seed) : random_(seed) {}

  std::string value(int depth) {
    static const std::vector<std::string> leaves{
        "null",
        "true",
        "0",
        "-1",
        "1e308",
        "9007199254740993",
        R"("")",
        R"("user")",
        R"("a fox")",
        R"("auto")",
        R"("image_generation")",
        R"("ig_00000000000000000000000000000000")",
        R"("data:image/png;base64,AAAA")",
        R"("data:image/png;base64,%")",
        R"("https://a.example/b.png")",
        R"("file:///etc/passwd")",
        R"("![i](https://v3.fal.media/a.png) ![](]( ![")",
        R"("### Task:\n<context></context><chat_history>")",
        R"("16:9")",
        R"("\u0000")",
        "[]",
        "{}"};
    if (depth == 0 || draw(3) == 0) return leaves[draw(leaves.size())];
    return draw(2) == 0 ? array(depth) : object(depth);
  }
  std::string object(int depth) {
    static const std::vector<std::string> names{
        "role",   "content", "type",   "text",    "image_url",  "url",
        "detail", "file_id", "images", "id",      "result",     "index",
        "model",  "name",    "size",   "quality", "background", "action",
        "mask",   "prompt",  "format", "task",    "task_body",  "aspect_ratio"};
    std::string text = "{";
    const std::size_t first = draw(names.size());
    for (std::size_t i = 0, n = draw(4) + 1; i < n; ++i) {
      text +=
          (i > 0 ? ",\"" : "\"") + names[(first + i * 5) % names.size()] + "\":" + value(depth - 1);
    }
    return text + "}";
  }
  std::string array(int depth) {
    std::string text = "[";
    for (std::size_t i = 0, n = draw(4); i < n; ++i) text += (i > 0 ? "," : "") + value(depth - 1);
    return text + "]";
  }
  std::size_t draw(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

 private:
  std::mt19937 random_;
};

// A body of some members of a door, each of whatever kind.
std::string odd_body(OddValues& odd, const std::vector<std::string>& names) {
  std::string body = "{";
  for (const std::string& name : names) {
    if (odd.draw(4) > 0) continue;
    body += (body.size() > 1 ? ",\"" : "\"") + name + "\":" + odd.value(4);
  }
  return body + "}";
}

void check_refusal(const Error& error) {
  CAPTURE(error.message);
  CHECK_FALSE(error.message.empty());
  const int status = openai::describe(error.kind).status;
  CHECK((status >= 400 && status < 500));
  CHECK((!error.field.empty() || error.kind == ErrorKind::invalid_json));
}

}  // namespace

TEST_CASE("whatever stands in a chat is read, or refused in words that name a field") {
  OddValues odd(1);
  int read = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string body =
        odd_body(odd, {"model", "messages", "modalities", "image_config", "n", "stream",
                       "stream_options", "tool_choice", "response_format", "metadata", "max_tokens",
                       "size", "images", "prompt", "user", "seed", "tools"});
    CAPTURE(body);
    const auto chat = openai::parse_chat(body, {}, codecs, nullptr, nobodys);
    if (chat) {
      ++read;
      CHECK(chat->leftovers.size() <= 11);
      CHECK(chat->wish.images.size() <= RequestLimits().max_input_images);
      CHECK((chat->chore || (chat->wish.prompt && !chat->wish.prompt->empty())));
    } else {
      check_refusal(chat.error());
    }
  }
  // Messages that are well-formed, with odd parts.
  for (int i = 0; i < 3000; ++i) {
    const std::string body = R"({"messages":[{"role":"assistant","content":)" + odd.value(2) +
                             R"(,"images":)" + odd.value(2) + R"(},{"role":"user","content":[)" +
                             R"({"type":"text","text":"a fox"},)" + odd.value(2) + "]}]}";
    CAPTURE(body);
    const auto chat = openai::parse_chat(body, {}, codecs, nullptr, nobodys);
    if (!chat) check_refusal(chat.error());
    read += chat ? 1 : 0;
  }
  CHECK(read > 500);
}

TEST_CASE(
    "whatever stands in a request for a response is read, or refused in words that name a field") {
  OddValues odd(2);
  int read = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string input = odd.draw(2) == 0 ? odd.value(3)
                                               : R"([{"role":"user","content":"a fox"},)" +
                                                     odd.value(3) + "," + odd.value(3) + "]";
    const std::string rest =
        odd_body(odd, {"model", "instructions", "tools", "tool_choice", "previous_response_id",
                       "stream", "background", "conversation", "prompt", "text", "metadata",
                       "max_output_tokens", "reasoning", "include", "store", "user", "truncation"});
    const std::string body =
        R"({"input":)" + input + (rest.size() > 2 ? "," + rest.substr(1) : "}");
    CAPTURE(body);
    const auto request = openai::parse_response_request(body, {}, codecs, nullptr, nobodys);
    if (!request) check_refusal(request.error());
    read += request ? 1 : 0;
  }
  CHECK(read > 50);
}

TEST_CASE("whatever OpenRouter's clients send is read, or refused in words that name a field") {
  OddValues odd(3);
  int read = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string rest = odd_body(
        odd, {"model", "n", "size", "resolution", "aspect_ratio", "quality", "seed",
              "input_references", "stream", "provider", "output_format", "output_compression"});
    const std::string prompt = odd.draw(2) == 0 ? odd.value(2) : R"("a fox")";
    const std::string body =
        R"({"prompt":)" + prompt + (rest.size() > 2 ? "," + rest.substr(1) : "}");
    CAPTURE(body);
    const auto wish = openrouter::parse_images(body, {}, codecs, nullptr);
    if (!wish) check_refusal(wish.error());
    read += wish ? 1 : 0;
  }
  CHECK(read > 10);
}

TEST_CASE(
    "of what has no use no more is told than anybody would read, and what is long is not said "
    "again") {
  std::string parts, fields;
  for (int i = 0; i < 1000; ++i) {
    parts += R"({"type":"file"},)";
    fields += R"(,"odd)" + std::to_string(i) + R"(":1)";
  }
  const auto chat = openai::parse_chat(
      R"({"messages":[{"role":"user","content":[)" + parts + R"({"type":"text","text":"a"}]}]})",
      {}, codecs, nullptr, nobodys);
  REQUIRE(chat);
  CHECK(chat->leftovers.size() == 10);
  const auto response = openai::parse_response_request(
      R"({"input":"a","instructions":")" + std::string(100'000, 'x') +
          R"(","metadata":{"a":"b"},"tools":[{"type":"image_generation")" + fields + "}]}",
      {}, codecs, nullptr, nobodys);
  REQUIRE(response);
  CHECK(response->leftovers.size() == 10);
  CHECK((*response->echo.find("instructions")).is_null());
  CHECK(response->echo.find("metadata")->find("a")->as_string() == "b");
}

TEST_CASE("an id that is none is refused, and not passed over") {
  for (const char* member : {R"("previous_response_id":5)", R"("model":["a"])", R"("tools":{})"}) {
    CAPTURE(member);
    const auto read = openai::parse_response_request(R"({"input":"a",)" + std::string(member) + "}",
                                                     {}, codecs, nullptr, nobodys);
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == ErrorKind::invalid_type);
  }
}

}  // namespace falproxy::tests
