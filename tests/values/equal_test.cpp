#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>

#include "falproxy/client.hpp"
#include "falproxy/falproxy.hpp"

namespace falproxy {
namespace {

std::string cut_in_pieces(const Body& body) {
  std::string sizes;
  for (const Piece& piece : body.pieces()) sizes += std::to_string(piece.bytes.size()) + ' ';
  return sizes;
}

}  // namespace

TEST_CASE("errors are equal by what is promised of them, whatever their words are") {
  const Error error{ErrorKind::timed_out,         "Too late.", "n",
                    std::chrono::milliseconds(5), true,        "abc"};
  Error other = error;
  other.message = "It took too long.";
  CHECK(other == error);
  for (void (*change)(Error&) :
       {+[](Error& e) { e.kind = ErrorKind::cancelled; }, +[](Error& e) { e.field = "size"; },
        +[](Error& e) { e.retry_after.reset(); }, +[](Error& e) { e.submitted = false; },
        +[](Error& e) { e.fal_request_id = "abd"; }}) {
    other = error;
    change(other);
    CHECK(other != error);
  }
}

TEST_CASE("faults and Notes are equal by their places") {
  using plan::Note;
  CHECK(Note{"n", "dropped"} == Note{"n", "left out"});
  CHECK(Note{"n", "dropped"} != Note{"size", "dropped"});
  CHECK(schema::Fault{ErrorKind::invalid_type, "/a", "a", "x"} ==
        schema::Fault{ErrorKind::invalid_type, "/a", "a", "y"});
  CHECK(schema::Fault{ErrorKind::invalid_type, "/a", "a", "x"} !=
        schema::Fault{ErrorKind::invalid_type, "/b", "a", "x"});
  CHECK(SettingsFault{".env", 1, "PORT", "x", "y"} == SettingsFault{".env", 1, "PORT", "a", "b"});
  CHECK(SettingsFault{".env", 1, "PORT", "x", "y"} != SettingsFault{".env", 2, "PORT", "x", "y"});
  CHECK(TransportError{TransportFault::timed_out, "x"} ==
        TransportError{TransportFault::timed_out, "y"});
  CHECK(TransportError{TransportFault::timed_out, "x"} !=
        TransportError{TransportFault::timed_out, "x", true});
}

TEST_CASE("plans are equal whatever their Notes say, and in which order") {
  plan::Plan plan;
  plan.jobs = {{.input = Json::object({{"seed", 7}})}};
  plan.mappings = {{"seed", "seed", 7, "asked for"}};
  plan.notes = {{"n", "a"}, {"size", "b"}, {"n", "c"}};
  plan::Plan other = plan;
  std::ranges::reverse(other.notes);
  other.notes.front().text = "z";
  other.mappings.front().why = "";
  CHECK(other == plan);
  other.notes.pop_back();
  CHECK(other != plan);
  other = plan;
  other.mappings.front().value = 8;
  CHECK(other != plan);
  other = plan;
  other.jobs.front().input = Json::object({{"seed", 8}});
  CHECK(other != plan);
}

TEST_CASE("bodies are equal by their bytes, however they are cut") {
  Body whole("hello world");
  Body parts("hel");
  parts.append("lo");
  parts.append(" world");
  CHECK(cut_in_pieces(parts) != cut_in_pieces(whole));
  CHECK(parts == whole);
  CHECK(whole == parts);
  CHECK(Body() == Body(""));
  CHECK(Body("hello worlD") != parts);
  CHECK(Body("hello") != parts);
  Body other("hello w");
  other.append("orld");
  CHECK(other == parts);
}

TEST_CASE("pictures of requests are equal by their bytes, whoever owns them") {
  const auto here = std::make_shared<const std::string>("bytes");
  const auto there = std::make_shared<const std::string>("bytes");
  Wish a, b;
  a.images = {{.owner = here, .bytes = *here}};
  b.images = {{.owner = there, .bytes = *there}};
  CHECK(a == b);
  b.images.front().bytes = std::string_view(*there).substr(1);
  CHECK(a != b);
  CHECK(openai::ImageData{Body("x")} == openai::ImageData{Body("x")});
  CHECK(openai::ImageData{Body("x")} != openai::ImageData{Body("y")});
}

TEST_CASE("what a program asks for and what is made are equal by what they hold") {
  CHECK(ImageWish{.prompt = "a"} == ImageWish{.prompt = "a"});
  CHECK(ImageWish{.prompt = "a"} != ImageWish{.prompt = "a", .n = 2});
  CHECK(Artifact::of("abc") == Artifact::of("abc"));
  CHECK(Artifact::of("abc") != Artifact::of("abd"));
  CHECK(Artifact::of("abc") != Artifact::at("https://a", {}));
  CHECK(Artifact::at("https://a", {}) == Artifact::at("https://a", {}));
  CHECK(Artifact::at("https://a", {}) != Artifact::at("https://b", {}));
  const Content content{std::make_shared<const std::string>("abc"), "image/png", {{3, 4}}};
  Content other{std::make_shared<const std::string>("abc"), "image/png", {{3, 4}}};
  CHECK(content == other);
  other.bytes = std::make_shared<const std::string>("abd");
  CHECK(content != other);
  CHECK(content != Content{});
  CHECK(Content{} == Content{});
  const Made made{.artifacts = {Artifact::of("a")}, .notes = {{"n", "a"}, {"size", "b"}}};
  CHECK(made == Made{.artifacts = {Artifact::of("a")}, .notes = {{"size", "c"}, {"n", "d"}}});
  CHECK(made != Made{.artifacts = {Artifact::of("a")}, .notes = {{"size", "c"}}});
  CHECK(made != Made{.artifacts = {Artifact::of("b")}, .notes = made.notes});
  CHECK(CallProgress{} != CallProgress{.position = 1});
}

TEST_CASE("an Artifact that was moved away is equal to another such, and to no other") {
  for (Artifact one : {Artifact::of("abc"), Artifact::at("https://a", {})}) {
    const Artifact copy = one;
    const Artifact taken = std::move(one);
    CHECK(taken == copy);
    CHECK(one != copy);  // NOLINT(bugprone-use-after-move)
    CHECK(copy != one);
    CHECK(one != Artifact::of(""));
    CHECK(one.address().empty());
    CHECK_FALSE(one.content());
    CHECK(one == one);
    Artifact other = Artifact::of("x");
    const Artifact gone = std::move(other);
    CHECK(one == other);  // NOLINT(bugprone-use-after-move)
    std::ostringstream out;
    out << one;
    CHECK(out.str() == "nothing");
  }
}

TEST_CASE("transcripts and requests for them are equal by all that they say") {
  const Transcript transcript{.text = "a", .segments = {{"a", 0, 1}}};
  Transcript other = transcript;
  CHECK(other == transcript);
  other.segments.front().speaker = "B";
  CHECK(other != transcript);
  CHECK(openai::SpeechRequest{} != openai::SpeechRequest{.wish = {}, .events = true});
  CHECK(openai::TranscriptRequest{} != openai::TranscriptRequest{.wish = {}, .words = true});
  CHECK(media::WavHead{.rate = 1} != media::WavHead{.rate = 2});
  CHECK(openai::Voice{"a", "m"} != openai::Voice{"a", "n"});
  CHECK(openai::Chore{"a", "m"} != openai::Chore{"a", "n"});
  CHECK(openai::ChatRequest{} != openai::ChatRequest{.choices = 2});
  CHECK(openai::TalkPicture{} != openai::TalkPicture{.address = "https://a"});
  CHECK(openai::ChatAnswer{} != openai::ChatAnswer{.text = "a"});
  CHECK(openai::ResponseRequest{} != openai::ResponseRequest{.model = "a"});
  CHECK(openai::ResponseAnswer{} != openai::ResponseAnswer{.model = "a"});
  CHECK(router::NamedModel{"a", 1, 2} != router::NamedModel{"a", 1, 3});
  CHECK(ChatRoute{"a", "b/c"} != ChatRoute{"a", "b/d"});
  CHECK(Forwarded{"a"} != Forwarded{"b"});
  CHECK(ForwardedRequest{} != ForwardedRequest{.counted = false});
  Wish a, b;
  a.voice = "alloy";
  CHECK(a != b);
}

TEST_CASE("receipts are equal but for the words of a fault") {
  JobReceipt a, b;
  a.fault = "connection reset";
  b.fault = "reset by peer";
  CHECK(a == b);
  b.fault = {};
  CHECK(a != b);
  b = a;
  b.key_slot = 1;
  CHECK(a != b);
}

}  // namespace falproxy
