#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/openai_chat.hpp"
#include "parsing.hpp"

namespace falproxy::tests {
namespace {

// A png of one pixel.
constexpr std::string_view pixel_png =
    "data:image/"
    "png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60"
    "e6kgAAAABJRU5ErkJggg==";

Result<openai::ChatRequest> chat(std::string_view body) {
  return openai::parse_chat(body, {}, codecs, nullptr, [](std::string_view address) {
    return address.starts_with("https://v3.fal.media/");
  });
}

// Of one message, with these members more.
Result<openai::ChatRequest> say(const std::string& text, const std::string& more = {}) {
  return chat(R"({"model":"flux","messages":[{"role":"user","content":)" +
              Json::string(text).dump() + "}]" + (more.empty() ? "" : "," + more) + "}");
}

}  // namespace

TEST_CASE("the prompt of a chat is what the user said last, and no system text") {
  const auto read = chat(R"({"model":"flux","messages":[{"role":"system","content":"You help."},
    {"role":"user","content":"a dog"},{"role":"assistant","content":"here"},
    {"role":"user","content":[{"type":"text","text":"a fox"},{"type":"text","text":"at dusk"}]}]})");
  REQUIRE(read);
  CHECK(read->wish.prompt == "a fox\nat dusk");
  CHECK(read->wish.model == "flux");
  CHECK(read->wish.images.empty());
  CHECK(read->wish.intent == Intent::generation);
  CHECK(read->leftovers.size() == 1);
  CHECK_FALSE(read->chore);
}

TEST_CASE("pictures of the last message are edited, in whatever form they come") {
  for (const std::string& form :
       {std::string(R"({"type":"image_url","image_url":{"url":"$","detail":"high"}})"),
        std::string(R"({"type":"image_url","image_url":"$"})"),
        std::string(R"({"type":"input_image","image_url":"$"})")}) {
    CAPTURE(form);
    std::string part = form;
    part.replace(part.find('$'), 1, pixel_png);
    const auto read =
        chat(R"({"messages":[{"role":"user","content":[{"type":"text","text":"blue"},)" + part +
             R"(,{"type":"image_url","image_url":{"url":"https://a.example/b.png"}}]}]})");
    REQUIRE(read);
    CHECK(read->wish.intent == Intent::edit);
    REQUIRE(read->wish.images.size() == 2);
    CHECK(read->wish.images[0].bytes.size() == 70);
    CHECK(read->wish.images[1].url == "https://a.example/b.png");
  }
}

TEST_CASE("pictures of the answer before may be edited, but no address that somebody else wrote") {
  const auto earlier = [](const std::string& answer) {
    const auto read =
        chat(R"({"messages":[{"role":"user","content":"a cat"},{"role":"assistant",)" + answer +
             R"(},{"role":"user","content":"make it blue"}]})");
    REQUIRE(read);
    CHECK(read->wish.images.empty());
    CHECK(read->wish.prompt == "make it blue");
    return read->earlier;
  };
  const auto shown = earlier(
      R"x("content":"![image](https://v3.fal.media/files/a.png) ![x](https://evil.example/a.png)")x");
  REQUIRE(shown.size() == 1);
  CHECK(shown[0].url == "https://v3.fal.media/files/a.png");
  CHECK(earlier(R"("content":"see https://v3.fal.media/files/a.png")").empty());
  CHECK(earlier("\"content\":\"![image](" + std::string(pixel_png) + ")\"").size() == 1);
  CHECK(
      earlier(
          R"x("content":"![image](https://v3.fal.media/files/a.png)","images":[{"type":"image_url","index":0,"image_url":{"url":")x" +
          std::string(pixel_png) + R"("}}])")
          .size() == 1);
  // What the user sends wins, and so does an answer without a picture.
  CHECK(
      chat(
          R"x({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"![i](https://v3.fal.media/a.png)"},
    {"role":"user","content":"b"},{"role":"assistant","content":"ok"},{"role":"user","content":"c"}]})x")
          ->earlier.empty());
}

TEST_CASE("words of images count in a chat, and words of chats are dropped") {
  const auto read =
      say("a fox", R"("image_config":{"aspect_ratio":"16:9","image_size":"2K"},"seed":7,
    "guidance_scale":3.5,"temperature":0.7,"top_p":null,"tools":[{"type":"function"}],"tool_choice":"auto",
    "max_tokens":4096,"stream":true,"stream_options":{"include_usage":true},"modalities":["image","text"],
    "n":2,"stop":["x"],"logit_bias":{"1":2},"user":"me","prompt":"other","provider":{"order":["a"]},"response_format":{"type":"text"})");
  REQUIRE(read);
  CHECK(read->wish.prompt == "a fox");
  CHECK(read->wish.size == SizeWish{SizeWish::Kind::ratio, 16, 9});
  CHECK(native(read->wish, "resolution")->as_string() == "2K");
  CHECK(native(read->wish, "seed")->as_integer() == 7);
  CHECK(native(read->wish, "guidance_scale") != nullptr);
  CHECK(read->wish.native.size() == 4);
  CHECK(read->wish.user == "me");
  CHECK(read->wish.stream);
  CHECK(read->choices == 2);
  CHECK(read->include_usage);
  CHECK(read->asks_for_image);
  CHECK(say("a", R"("size":"512x512","image_config":{"aspect_ratio":"16:9"})")->wish.size ==
        SizeWish{SizeWish::Kind::pixels, 512, 512});
}

TEST_CASE("a chat whose picture nobody could use is refused before it is paid for") {
  const auto refused = [](const Result<openai::ChatRequest>& read, ErrorKind kind,
                          std::string_view field) {
    REQUIRE_FALSE(read);
    CAPTURE(read.error().message);
    CHECK(read.error().kind == kind);
    CHECK(read.error().field == field);
  };
  refused(say("a", R"("response_format":{"type":"json_schema"})"), ErrorKind::unsupported_value,
          "response_format");
  refused(say("a", R"("tool_choice":"required")"), ErrorKind::unsupported_parameter, "tool_choice");
  refused(say("a", R"("tool_choice":{"type":"function","function":{"name":"f"}})"),
          ErrorKind::unsupported_parameter, "tool_choice");
  refused(say(" "), ErrorKind::missing_parameter, "messages");
  refused(chat(R"({"model":"flux"})"), ErrorKind::missing_parameter, "messages");
  refused(chat(R"({"messages":"a"})"), ErrorKind::invalid_type, "messages");
  refused(chat(R"({"messages":[]})"), ErrorKind::missing_parameter, "messages");
  refused(chat("[]"), ErrorKind::invalid_json, "");
  refused(
      chat(
          R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"ftp://a"}}]}]})"),
      ErrorKind::invalid_value, "messages");
}

TEST_CASE("documents that a program puts before the user's words are not drawn") {
  const auto read =
      say("### Task:\nRespond to the query.\n<context>\ntext\n</context>\n\na red kite");
  REQUIRE(read);
  CHECK_FALSE(read->chore);
  CHECK(read->wish.prompt == "a red kite");
}

TEST_CASE("what a chat program asks beside its user is a chore, and is answered in its form") {
  const std::string history =
      "\n### Chat History:\n<chat_history>\nUSER: a lighthouse at dusk in winter with snow\n"
      "ASSISTANT: ![image](https://v3.fal.media/a.png)\n</chat_history>";
  const auto answer = [](const Result<openai::ChatRequest>& read) {
    REQUIRE(read);
    REQUIRE(read->chore);
    return read->chore->answer;
  };
  const auto task = [&](const std::string& example) {
    return answer(say("### Task:\nDo it.\n### Output:\nJSON format: " + example + history));
  };
  CHECK(task(R"({ "title": "your title" })") == R"({"title":"a lighthouse at dusk in"})");
  CHECK(task(R"({ "tags": ["tag1"] })") == R"({"tags":["General"]})");
  CHECK(task(R"({ "follow_ups": ["Question 1?"] })") == R"({"follow_ups":[]})");
  CHECK(task(R"({ "queries": ["query1"] })") == R"({"queries":[]})");
  CHECK(task(R"({ "prompt": "Your description" })") ==
        R"({"prompt":"a lighthouse at dusk in winter with snow"})");
  CHECK(task(R"({ "text": "completion" })") == R"({"text":""})");
  CHECK(answer(say("a", R"("max_tokens":5)")) == "OK");
  CHECK(answer(say("a", R"("max_completion_tokens":16)")) == "OK");
  CHECK(answer(say("x", R"("metadata":{"task":"tags_generation"})")) == R"({"tags":["General"]})");
  CHECK(
      answer(say("Please generate a concise, 5-word-or-less title for the conversation, using its "
                 "same language, with no punctuation.\nUser: a red fox in the snow at night")) ==
      "a red fox in the");
  CHECK(
      answer(chat(
          R"({"messages":[{"role":"user","content":"a blue bird"},{"role":"assistant","content":"ok"},
    {"role":"user","content":"Please generate a four to five word title summarizing our conversation without any lead-in"}]})")) ==
      "a blue bird");
  CHECK(
      answer(chat(
          R"({"messages":[{"role":"user","content":"a blue bird"},{"role":"assistant","content":"ok"},
    {"role":"system","content":"Summarize the discussion briefly in 200 words or less"}]})")) ==
      "OK");
  CHECK(
      answer(chat(
          R"({"messages":[{"role":"system","content":"Available Tools: []"},{"role":"user","content":"Query: a cat"}]})")) ==
      R"({"tool_calls":[]})");
  CHECK(
      answer(chat(
          R"({"messages":[{"role":"system","content":"You need to summarize the user's conversation into a title within 10 words"},
    {"role":"user","content":"user: a cat\nassistant: ok"}]})")) == "a cat");
  CHECK(answer(say("Analyze this conversation and provide a title",
                   R"("response_format":{"type":"json_schema"})"))
            .starts_with("{\"language\""));
}

TEST_CASE("what only sounds like a chore is drawn") {
  for (const char* prompt :
       {"a poster with the title 'Summer'",
        "a poster that says: 5-word-or-less title for the conversation",
        "### Task: a poster with five tags", "an emoji of a happy title",
        "suggest a title for this picture", "<chat_history> in neon letters", "OK"}) {
    CAPTURE(prompt);
    const auto read = say(prompt, R"("max_tokens":17,"metadata":{"task":"poster"})");
    REQUIRE(read);
    CHECK_FALSE(read->chore);
  }
  const auto persona =
      chat(R"({"messages":[{"role":"system","content":"You are a professional translator"},
    {"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"a fox"}]})");
  REQUIRE(persona);
  CHECK_FALSE(persona->chore);
}

TEST_CASE("an answer of chat has the members that strict clients demand") {
  openai::ChatAnswer answer{.id = "chatcmpl-1", .created = 7, .model = "flux"};
  answer.choices = {
      {{.address = "https://a/b.png", .data_uri = Body("data:image/png;base64,QQ==")}}};
  answer.cost = Usd::parse("0.025");
  CHECK(
      openai::write(answer).str() ==
      R"x({"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"flux","system_fingerprint":null,"choices":[{"index":0,"finish_reason":"stop","logprobs":null,"message":{"role":"assistant","refusal":null,"content":"![image](https://a/b.png)","images":[{"type":"image_url","index":0,"image_url":{"url":"data:image/png;base64,QQ=="}}]}}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0},"cost":0.025}})x");
  answer.shows_markdown = false;
  CHECK(Json::parse(openai::write(answer).str())
            ->find("choices")
            ->at(0)["message"]["content"]
            .as_string() == "");
  answer.shows_images = false;
  answer.shows_markdown = true;
  CHECK(openai::write(answer).str().find("images") == std::string::npos);
}

TEST_CASE("a chunk with images holds nothing else, and the stream ends as OpenAI's does") {
  openai::ChatAnswer answer{.id = "chatcmpl-1", .created = 7, .model = "flux"};
  answer.choices = {
      {{.address = "https://a/b.png", .data_uri = Body("data:image/png;base64,QQ==")}}};
  const std::string start =
      R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"flux","choices":[)";
  CHECK(
      openai::write_first_chunks(answer, 1).str() ==
      start +
          R"({"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]})" +
          "\n\n");
  const std::string last = openai::write_last_chunks(answer, true).str();
  CHECK(
      last ==
      start +
          R"({"index":0,"delta":{"images":[{"type":"image_url","index":0,"image_url":{"url":"data:image/png;base64,QQ=="}}]},"logprobs":null,"finish_reason":null}]})" +
          "\n\n" + start +
          R"x({"index":0,"delta":{"content":"![image](https://a/b.png)"},"logprobs":null,"finish_reason":null}]})x" +
          "\n\n" + start + R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]})" +
          "\n\n" + start +
          R"(],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}})" +
          "\n\ndata: [DONE]\n\n");
  CHECK(openai::write_last_chunks(answer, false).str().find("usage") == std::string::npos);
}

TEST_CASE("a persona is no chore on its first message, and a document may show a chat's history") {
  for (const char* persona :
       {"You are a professional translator", "You are an emoji expert who selects moods",
        "Talk like someone good at extracting key takeaways",
        "You are a conversation summarizer"}) {
    CAPTURE(persona);
    const auto read = chat(R"({"messages":[{"role":"system","content":")" + std::string(persona) +
                           R"("},{"role":"user","content":"a fox"}]})");
    REQUIRE(read);
    CHECK_FALSE(read->chore);
  }
  const auto chore = chat(
      R"({"messages":[{"role":"system","content":"You are an emoji expert who selects one.\nRules:\n- Output ONLY a single emoji"},
    {"role":"user","content":"a fox"}]})");
  REQUIRE(chore);
  CHECK(chore->chore);
  const auto quoted =
      say("### Task:\nRespond.\n<context>\n<chat_history>\nUSER: x\n</chat_history>\n</context>\na "
          "kite");
  REQUIRE(quoted);
  CHECK_FALSE(quoted->chore);
  CHECK(quoted->wish.prompt == "a kite");
}

TEST_CASE("of the pictures that Markdown shows no more are looked at than a request may have") {
  std::string shown;
  for (int i = 0; i < 1000; ++i) shown += "![i](https://v3.fal.media/a.png) ";
  int asked = 0;
  const auto read =
      openai::parse_chat(R"x({"messages":[{"role":"assistant","content":")x" + shown +
                             R"x("},{"role":"user","content":"blue"}]})x",
                         {}, codecs, nullptr, [&](std::string_view) { return ++asked > 0; });
  REQUIRE(read);
  CHECK(read->earlier.size() == RequestLimits().max_input_images);
  CHECK(asked == static_cast<int>(RequestLimits().max_input_images));
}

TEST_CASE("a chore of LobeChat's brings examples of itself, and is one all the same") {
  const auto ask = [](const std::string& system, const std::string& asked) {
    return chat(R"({"messages":[{"role":"system","content":)" + Json::string(system).dump() +
                R"(},{"role":"user","content":"an example"},{"role":"assistant","content":"x"},
    {"role":"user","content":)" +
                Json::string(asked).dump() + "}]}");
  };
  struct Case {
    std::string system, asked, answer;
  };
  const std::string emoji = "You are an emoji expert who selects the most appropriate emoji";
  for (const Case& one : std::vector<Case>{
           {emoji + ".\n\nRules:\n- Output ONLY a single emoji (1-2 characters maximum)", "a fox",
            "\xF0\x9F\x96\xBC\xEF\xB8\x8F"},
           {"你是一名擅长会话标签总结的助理，你需要", "输入: {a fox at dusk} [en-US]", "General"},
           {"你是一名擅长起名的起名大师，名字需要", "输入: {a fox at dusk} [en-US]",
            "a fox at dusk"},
           {"你是一名擅长技能总结的助理，你需要", "输入: {a fox} [en-US]", "a fox"},
           {"你是一名精通全世界语言的语言专家，你需要", "{a fox}", "en-US"},
           {"你是一位资深的 AI 艺术创作者和语言大师。", "提示词：\n1. a fox", "1. a fox"},
           {"Rephrase it.\n<chatHistory>\nuser: a fox\n</chatHistory>\n",
            "Follow Up Input: and at dusk?, it's standalone query:", "and at dusk?"}}) {
    CAPTURE(one.system);
    const auto read = ask(one.system, one.asked);
    REQUIRE(read);
    REQUIRE(read->chore);
    CHECK(read->chore->answer == one.answer);
  }
  for (const auto& [system, asked] : std::vector<std::pair<std::string, std::string>>{
           {emoji, "a fox"},
           {"你是一名擅长起名的起名大师", "a fox"},
           {"You paint.", "Follow Up Input: a fox, it's standalone query:"},
           {"<chatHistory> is what you paint.", "a fox"}}) {
    const auto read = ask(system, asked);
    REQUIRE(read);
    CHECK_FALSE(read->chore);
  }
}

}  // namespace falproxy::tests
