// What holds for every input, tried on many that a fixed seed makes.
#include <doctest/doctest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/utf8.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/openai.hpp"
#include "support/pictures.hpp"
#include "surfaces/parsing.hpp"

using namespace falproxy;
using tests::codecs;

namespace {

class Dice {
 public:
  std::size_t below(std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random_);
  }
  bool toss() { return below(2) == 0; }
  template <class T>
  const T& one_of(const std::vector<T>& choices) {
    return choices[below(choices.size())];
  }
  std::string text(const std::string& alphabet, std::size_t longest) {
    std::string made;
    for (std::size_t i = below(longest + 1); i > 0; --i) made += alphabet[below(alphabet.size())];
    return made;
  }
  // The same bytes in pieces of any length.
  Body cut(const std::string& whole) {
    Body body;
    for (std::size_t at = 0; at < whole.size();) {
      const std::size_t size = 1 + below(whole.size() - at);
      body.append(whole.substr(at, size));
      at += size;
    }
    return body;
  }

 private:
  std::mt19937 random_{20261122};
};

const std::string base64_alphabet = "ABCabc019+/=";
const std::string nasty_alphabet = std::string("ab\"\\\n\r\t{}[]:,\x01 '\xC3\xA9\x7F", 19);

}  // namespace

TEST_CASE("an answer that is written reads as what it was") {
  Dice dice;
  for (int round = 0; round < 300; ++round) {
    openai::ImageResponse response;
    response.created = static_cast<std::int64_t>(dice.below(2'000'000'000));
    std::vector<std::string> contents;
    for (std::size_t i = dice.below(4); i > 0; --i) {
      const bool url = dice.toss();
      contents.push_back(
          dice.text(url ? nasty_alphabet : base64_alphabet, dice.toss() ? 40 : 20'000));
      if (!is_utf8(contents.back())) contents.back() = "x";
      response.data.push_back({.content = dice.cut(contents.back()), .is_url = url});
    }
    if (dice.toss()) response.size = "1024x768";
    response.usage.output_image_tokens = static_cast<std::int64_t>(dice.below(1000));
    response.usage.input_text_tokens = static_cast<std::int64_t>(dice.below(1000));

    const Body body = openai::write(response);
    const auto json = Json::parse(body.str());
    REQUIRE(json.has_value());
    CHECK(body.size() == body.str().size());
    CHECK(json->find("created")->as_integer() == response.created);
    REQUIRE(json->find("data")->size() == contents.size());
    for (std::size_t i = 0; i < contents.size(); ++i) {
      const Json image = json->find("data")->at(i);
      CHECK(image.size() == 1);
      CHECK(image.find(response.data[i].is_url ? "url" : "b64_json")->as_string() == contents[i]);
    }
    CHECK(json->find("size").has_value() == response.size.has_value());
    const Json usage = *json->find("usage");
    CHECK(*usage.find("total_tokens")->as_integer() ==
          *usage.find("input_tokens")->as_integer() + *usage.find("output_tokens")->as_integer());
  }
}

TEST_CASE("events that are written arrive whole, however the network cuts them") {
  Dice dice;
  std::string stream;
  std::vector<std::string> contents;
  for (int i = 0; i < 60; ++i) {
    contents.push_back(dice.text(base64_alphabet, 10'000));
    openai::ImageEvent event;
    event.kind =
        dice.toss() ? openai::ImageEvent::Kind::partial_image : openai::ImageEvent::Kind::completed;
    event.b64_json = dice.cut(contents.back());
    stream += openai::write(event).str();
    if (dice.toss()) stream += ": still here\n\n";
  }
  stream += openai::write_error_event(Error{ErrorKind::internal, "a\r\n\r\nb"}, "");

  fal::EventStreamReader reader;
  std::vector<std::string> seen;
  for (std::size_t at = 0; at < stream.size();) {
    const std::size_t size = 1 + dice.below(3000);
    CHECK(reader.feed(std::string_view(stream).substr(at, size), [&](std::string_view data) {
      const auto json = Json::parse(data);
      REQUIRE(json.has_value());
      const auto content = json->find("b64_json");
      seen.emplace_back(content.has_value() ? *content->as_string()
                                            : *json->find("error")->find("message")->as_string());
      return true;
    }));
    at += size;
  }
  contents.emplace_back("a\r\n\r\nb");
  CHECK(seen == contents);
}

TEST_CASE("a request of known fields is read as it was written, by JSON and by form alike") {
  Dice dice;
  for (int round = 0; round < 300; ++round) {
    std::vector<std::pair<std::string, Json>> members = {
        {"prompt", Json::string("p" + dice.text("ab c1", 20))}};
    const auto maybe = [&](const std::string& name, Json value) {
      if (dice.toss()) members.emplace_back(name, std::move(value));
    };
    maybe("model", Json::string("m" + dice.text("a/b-1.", 10)));
    maybe("n", Json::integer(1 + static_cast<std::int64_t>(dice.below(10))));
    maybe("size", Json::string(dice.one_of<std::string>({"auto", "512x512", "1x16384"})));
    maybe("quality", Json::string(dice.one_of<std::string>({"hd", "low", "7"})));
    maybe("stream", Json::boolean(dice.toss()));
    maybe("response_format", Json::string(dice.one_of<std::string>({"url", "b64_json"})));
    maybe("output_compression", Json::integer(static_cast<std::int64_t>(dice.below(101))));
    maybe("seed", Json::integer(static_cast<std::int64_t>(dice.below(1'000'000))));
    maybe("strength", Json::number(0.25));
    maybe("negative_prompt", Json::string("ugly, " + dice.text("abc", 5)));
    maybe("loras", *Json::parse(R"([{"path":"u","scale":0.5}])"));
    maybe("image", Json::string(tests::data_url(tests::whole_png(4, 4))));
    if (members.back().first != "image")
      members.emplace_back("image", Json::string("https://x.example/a.png"));

    std::vector<openai::FormPart> parts;
    for (const auto& [name, value] : members) {
      const std::string text = value.is_string() ? std::string(*value.as_string()) : value.dump();
      auto owner = std::make_shared<const std::string>(text);
      const std::string_view bytes = *owner;
      parts.push_back({name, std::nullopt, "", std::move(owner), bytes});
    }
    const auto json = openai::parse_json(Intent::edit, Json::object(members).dump(), {}, codecs);
    const auto form = openai::parse_form(Intent::edit, std::move(parts), {}, codecs);
    REQUIRE(json.has_value());
    REQUIRE(form.has_value());
    CHECK(json->prompt == form->prompt);
    CHECK(json->model == form->model);
    CHECK(json->n == form->n);
    CHECK(json->size == form->size);
    CHECK(json->quality == form->quality);
    CHECK(json->stream == form->stream);
    CHECK(json->response_format == form->response_format);
    CHECK(json->output_compression == form->output_compression);
    CHECK(json->native == form->native);
    REQUIRE(json->images.size() == 1);
    CHECK(json->images[0].url == form->images[0].url);
    CHECK(json->images[0].bytes == form->images[0].bytes);
  }
}

TEST_CASE("no bytes make the reading of a request go astray") {
  Dice dice;
  const std::string seeds[] = {
      R"({"prompt":"a \ud83d\udc31","n":2,"size":"1024x1024","seed":1,"loras":[{"a":[1,2,{"b":null}]}],"x":1.5e3})",
      R"({"prompt":"p","images":[{"image_url":")" + tests::data_url(tests::whole_png(4, 4)) +
          R"("}],"mask":")" + tests::data_url(tests::whole_png(4, 4)) + "\"}",
      R"({"prompt":"p","image":["https://x.example/a.png","https://x.example/b.png"],"stream":true})",
  };
  int read = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string body = seeds[dice.below(3)];
    for (std::size_t changes = dice.below(4); changes > 0 && !body.empty(); --changes) {
      const std::size_t at = dice.below(body.size());
      switch (dice.below(4)) {
        case 0:
          body[at] = static_cast<char>(dice.below(256));
          break;
        case 1:
          body.erase(at, 1 + dice.below(10));
          break;
        case 2:
          body.insert(at, dice.one_of<std::string>(
                              {"\"", "{", "]", ",", "null", "1e99", "\\u0000", "\xFF", ":"}));
          break;
        default:
          body = body.substr(0, at);
      }
    }
    const auto request =
        openai::parse_json(dice.toss() ? Intent::generation : Intent::edit, body, {}, codecs);
    if (request.has_value()) {
      ++read;
      continue;
    }
    const Error& error = request.error();
    CHECK(openai::describe(error.kind).status < 500);
    CHECK_FALSE(error.message.empty());
    CHECK(error.message.size() < 600);
    CHECK(Json::parse(openai::write_error(error)).has_value());
  }
  CHECK(read > 500);
}

TEST_CASE("no bytes make the reading of fal's answers go astray") {
  Dice dice;
  const std::string seed =
      R"({"request_id":"r1","status":"COMPLETED","detail":[{"loc":["body","x",0],"msg":"m","type":"t"}],"error":"e","metrics":{"inference_time":1}})";
  const auto endpoint = *fal::EndpointId::parse("fal-ai/flux");
  for (int round = 0; round < 3000; ++round) {
    std::string body = seed;
    for (std::size_t changes = 1 + dice.below(3); changes > 0; --changes) {
      body[dice.below(body.size())] = static_cast<char>(dice.below(256));
    }
    const auto status = fal::parse_status(body);
    if (!status.has_value()) CHECK(status.error().kind == ErrorKind::upstream_failed);
    const auto job = fal::parse_submitted(body, endpoint, "https://queue.fal.run");
    if (job.has_value()) CHECK(fal::same_origin(job->cancel_url, "https://queue.fal.run"));
    const fal::Fault fault =
        fal::read_fault(HttpHead{400 + static_cast<int>(dice.below(110)), {}}, body);
    CHECK(fault.message.size() <= 500);
    CHECK(fault.location.size() <= 16);
  }
}
