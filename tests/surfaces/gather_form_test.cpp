#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "falproxy/openai.hpp"
#include "falproxy/openai_audio.hpp"
#include "support/memory_spools.hpp"
#include "support/pictures.hpp"
#include "surfaces/parsing.hpp"

using namespace falproxy;
using openai::FormPart;
using tests::codecs;
using tests::native;
using tests::whole_png;

namespace {

std::string part(const std::string& disposition, const std::string& content,
                 const std::string& more = "") {
  return "--b\r\nContent-Disposition: form-data; " + disposition + "\r\n" + more + "\r\n" +
         content + "\r\n";
}

// As the server reads a form, in pieces of 1,000 bytes.
Result<std::vector<FormPart>> gather_parts(const std::string& parts, const RequestLimits& limits,
                                           MemoryBudget* budget, std::size_t expected,
                                           openai::FormGatherer::Files files, SpoolPlace* spools) {
  openai::FormGatherer gatherer(limits, codecs, budget, expected, files, spools);
  Result<FormReader> reader = FormReader::create("multipart/form-data; boundary=b", gatherer);
  REQUIRE(reader.has_value());
  const std::string body = parts + "--b--\r\n";
  for (std::size_t at = 0; at < body.size(); at += 1000) {
    const Result<Done> read = reader->read(std::string_view(body).substr(at, 1000));
    if (!read) return read.error();
  }
  if (const Result<Done> end = reader->finish(); !end) return end.error();
  return gatherer.take();
}

Result<Wish> gather(const std::string& parts, const RequestLimits& limits = {},
                    MemoryBudget* budget = nullptr, std::size_t expected = 0,
                    SpoolPlace* spools = nullptr) {
  Result<std::vector<FormPart>> taken =
      gather_parts(parts, limits, budget, expected, openai::FormGatherer::Files::pictures, spools);
  if (!taken) return taken.error();
  return openai::parse_form(Intent::edit, std::move(*taken), limits, codecs);
}

const std::string png_file = whole_png(8, 8) + std::string(10'000, 'p');
const std::string image_part = part("name=image; filename=a.png", png_file);

}  // namespace

TEST_CASE("a form becomes a request, pictures and fields in their order") {
  for (const std::size_t expected : {std::size_t{0}, std::size_t{12'000}, std::size_t{1} << 20}) {
    const auto request =
        gather(part("name=\"image[]\"; filename=\"b.png\"", whole_png(1, 2)) + image_part +
                   part("name=prompt", "hello") + part("name=seed", "7"),
               {}, nullptr, expected);
    REQUIRE(request.has_value());
    REQUIRE(request->images.size() == 2);
    CHECK(request->images[0].bytes == whole_png(1, 2));
    CHECK(request->images[0].name == "b.png");
    CHECK(request->images[1].bytes == png_file);
    CHECK(request->prompt == "hello");
    CHECK(native(*request, "seed")->as_integer() == 7);
  }
}

TEST_CASE("a part that is sent as base64 is decoded (E15)") {
  std::string encoded;
  codecs.encode_base64(png_file, encoded);
  encoded.insert(76, "\r\n");
  const std::string base64 = "Content-Transfer-Encoding: base64\r\n";
  const auto request = gather(part("name=image; filename=a.png", encoded, base64) +
                              part("name=prompt", "bWFrZSBp\r\ndCBuaWdodA==\r\n", base64));
  REQUIRE(request.has_value());
  CHECK(request->images.front().bytes == png_file);
  CHECK(request->prompt == "make it night");

  const auto no_base64 = gather(image_part + part("name=prompt", "make it night", base64));
  REQUIRE_FALSE(no_base64.has_value());
  CHECK(no_base64.error().kind == ErrorKind::invalid_value);
  CHECK(no_base64.error().field == "prompt");

  const auto other = gather(
      image_part + part("name=prompt", "=41", "Content-Transfer-Encoding: quoted-printable\r\n"));
  REQUIRE_FALSE(other.has_value());
  CHECK(other.error().field == "prompt");
  CHECK(other.error().message.find("quoted-printable") != std::string::npos);

  CHECK(gather(image_part + part("name=prompt", "as it is", "Content-Transfer-Encoding: 8BIT\r\n"))
            ->prompt == "as it is");
}

TEST_CASE("a part that is larger than its field may be is refused while it comes") {
  const RequestLimits limits{.max_upload_bytes = 20'000, .max_text_bytes = 3000};
  struct Case {
    std::string form;
    ErrorKind kind;
    std::string field;
  };
  const std::string long_text(2000, 'a');
  for (const Case& c : {
           Case{part("name=\"image[]\"; filename=a", std::string(20'001, 'a')),
                ErrorKind::body_too_large, "image"},
           Case{part("name=mask; filename=a", std::string(20'001, 'a')), ErrorKind::body_too_large,
                "mask"},
           Case{part("name=image", "data:image/png;base64," + std::string(50'000, 'a')),
                ErrorKind::body_too_large, "image"},
           Case{part("name=prompt", long_text) + part("name=loras", long_text),
                ErrorKind::body_too_large, "loras"},
           Case{part("name=other; filename=a.png", "x"), ErrorKind::unsupported_parameter, "other"},
       }) {
    const auto request = gather(c.form, limits);
    REQUIRE_FALSE(request.has_value());
    CHECK(request.error().kind == c.kind);
    CHECK(request.error().field == c.field);
  }
  CHECK(gather(image_part + part("name=prompt", long_text), limits).has_value());
}

TEST_CASE("a data URL in a form counts as a picture and not as text") {
  const RequestLimits limits{.max_upload_bytes = 20'000, .max_text_bytes = 3000};
  const std::string url = tests::data_url(png_file);
  const std::string long_text(2900, 'a');
  const auto request = gather(part("name=image_url", url) + part("name=refs", url) +
                                  part("name=more", url) + part("name=prompt", long_text),
                              limits);
  REQUIRE(request.has_value());
  CHECK(request->images.size() == 1);
  REQUIRE(request->attached.size() == 2);
  CHECK(request->attached[0].picture.bytes == png_file);
  const auto large = gather(part("name=refs", "data:" + std::string(50'000, 'a')), limits);
  REQUIRE_FALSE(large.has_value());
  CHECK(large.error().kind == ErrorKind::body_too_large);
  CHECK(large.error().field == "refs");
  CHECK_FALSE(
      gather(image_part + part("name=refs", url) + part("name=prompt", long_text + long_text),
             limits)
          .has_value());
}

TEST_CASE("all that a form becomes counts, and is given back") {
  MemoryBudget budget(40'000);
  CHECK(gather(image_part, {}, &budget).has_value());
  CHECK(budget.used() == 0);
  const auto more = gather(image_part + image_part + image_part + image_part, {}, &budget);
  REQUIRE_FALSE(more.has_value());
  CHECK(more.error().kind == ErrorKind::overloaded);
  std::string heads;
  for (int i = 0; i < 250; ++i) heads += part("name=\"" + std::string(1000, 'n') + "\"", "");
  CHECK(gather(heads, {}, &budget).error().kind == ErrorKind::overloaded);
  CHECK(budget.used() == 0);
}

TEST_CASE("a long recording is put away as it comes, wherever it stands in the form") {
  std::string recording = "ID3";
  while (recording.size() < 3'000'000) recording += std::to_string(recording.size());
  for (const bool is_first : {true, false}) {
    CAPTURE(is_first);
    tests::MemorySpools spools;
    MemoryBudget budget(1u << 20);
    const std::string file = part("name=file; filename=a.mp3", recording);
    const std::string model = part("name=model", "ear");
    auto parts = gather_parts(is_first ? file + model : model + file, {}, &budget, 3'000'000,
                              openai::FormGatherer::Files::sound, &spools);
    REQUIRE(parts.has_value());
    const FormPart& taken = (*parts)[is_first ? 0 : 1];
    REQUIRE(taken.source != nullptr);
    CHECK(taken.source->size() == recording.size());
    CHECK(taken.source->read(0, recording.size()) == recording);
    CHECK(taken.bytes == recording.substr(0, 64u << 10));
    CHECK((*parts)[is_first ? 1 : 0].bytes == "ear");
    CHECK((*parts)[is_first ? 1 : 0].source == nullptr);
    CHECK(spools.begun == 1);
    const auto wish = openai::parse_transcript(false, *std::move(parts), {});
    REQUIRE(wish.has_value());
    CHECK(wish->wish.images.front().source->size() == recording.size());
  }
}

TEST_CASE("a long file stays in memory if there is no place for it, and is refused if it is full") {
  const std::string recording = "ID3" + std::string(1'000'000, 'a');
  const std::string form = part("name=file; filename=a.mp3", recording) + part("name=model", "ear");
  const auto files = openai::FormGatherer::Files::sound;
  tests::MemorySpools spools;
  spools.is_there = false;
  const auto held = gather_parts(form, {}, nullptr, 0, files, &spools);
  REQUIRE(held.has_value());
  CHECK(held->front().source == nullptr);
  CHECK(held->front().bytes == recording);

  spools.is_there = true;
  spools.room = 700'000;
  const auto refused = gather_parts(form, {}, nullptr, 0, files, &spools);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == ErrorKind::overloaded);

  const RequestLimits small{.max_upload_bytes = 600'000};
  const auto too_large = gather_parts(form, small, nullptr, 0, files, &spools);
  REQUIRE_FALSE(too_large.has_value());
  CHECK(too_large.error().kind == ErrorKind::body_too_large);

  const std::string short_file = part("name=file; filename=a.mp3", recording.substr(0, 200'000));
  spools.begun = 0;
  const auto short_one = gather_parts(short_file, {}, nullptr, 0, files, &spools);
  REQUIRE(short_one.has_value());
  CHECK(spools.begun == 0);
}

TEST_CASE("a long picture that was put away comes back whole, once the form is there") {
  const std::string picture = whole_png(8, 8) + std::string(900'000, 'p');
  tests::MemorySpools spools;
  MemoryBudget budget(4u << 20);
  const auto wish = gather(part("name=input_reference; filename=a.png", picture) +
                               part("name=prompt", "a fox") + image_part,
                           {}, &budget, 1'000'000, &spools);
  REQUIRE(wish.has_value());
  CHECK(spools.begun == 1);
  REQUIRE(wish->images.size() == 2);
  CHECK(wish->images[0].source == nullptr);
  CHECK(wish->images[0].bytes == picture);
  CHECK(wish->images[1].bytes == png_file);
}
