#include "falproxy/form_reader.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace falproxy;

namespace {

struct Part {
  FormPartHead head;
  std::string bytes;
  bool operator==(const Part&) const = default;
};

class Parts final : public FormSink {
 public:
  Result<Done> begin_part(FormPartHead head) override {
    all.push_back({std::move(head), ""});
    return Done{};
  }
  Result<Done> append(std::string_view bytes) override {
    CHECK_FALSE(bytes.empty());
    all.back().bytes.append(bytes);
    return Done{};
  }
  std::vector<Part> all;
};

// Reads `body` in two pieces, the first of `cut` bytes.
Result<std::vector<Part>> read_cut(std::string_view body, std::size_t cut,
                                   std::string_view type = "multipart/form-data; boundary=b",
                                   const FormLimits& limits = {}) {
  Parts parts;
  Result<FormReader> reader = FormReader::create(type, parts, limits);
  if (!reader) return reader.error();
  for (const std::string_view piece : {body.substr(0, cut), body.substr(cut)}) {
    if (const Result<Done> read = reader->read(piece); !read) return read.error();
  }
  if (const Result<Done> end = reader->finish(); !end) return end.error();
  return parts.all;
}

Result<std::vector<Part>> read(std::string_view body,
                               std::string_view type = "multipart/form-data; boundary=b",
                               const FormLimits& limits = {}) {
  return read_cut(body, body.size(), type, limits);
}

std::string refusal(const Result<std::vector<Part>>& read) {
  if (read) return "";
  CHECK(read.error().kind == ErrorKind::bad_request_framing);
  return read.error().message;
}

const std::string field = "--b\r\nContent-Disposition: form-data; name=";

}  // namespace

TEST_CASE("a form of each known client is read as it was meant") {
  // As openai npm (undici), the .NET SDK, axios and curl write them.
  const auto undici = read(
      "------formdata-undici-056\r\nContent-Disposition: form-data; "
      "name=\"image[]\"; filename=\"a.png\"\r\nContent-Type: application/octet-stream\r\n\r\n"
      "\x89PNG\r\n\x1a\n\r\n------formdata-undici-056\r\nContent-Disposition: form-data; "
      "name=\"prompt\"\r\n\r\nhello\r\n------formdata-undici-056--\r\n",
      "multipart/form-data; boundary=----formdata-undici-056");
  REQUIRE(undici.has_value());
  CHECK(*undici ==
        std::vector<Part>{
            {{.name = "image[]", .file_name = "a.png", .content_type = "application/octet-stream"},
             "\x89PNG\r\n\x1a\n"},
            {{.name = "prompt"}, "hello"}});

  const auto dotnet = read(
      "--_=8.5(?)\r\nContent-Disposition: form-data; name=image; filename=a.png; "
      "filename*=utf-8''%C3%A4.png\r\n\r\nP\r\n--_=8.5(?)\r\nContent-Type: text/plain; "
      "charset=utf-8\r\nContent-Disposition: form-data; name=n\r\n\r\n2\r\n--_=8.5(?)--\r\n",
      "multipart/form-data; boundary=\"_=8.5(?)\"");
  REQUIRE(dotnet.has_value());
  CHECK(*dotnet ==
        std::vector<Part>{{{.name = "image", .file_name = "\xC3\xA4.png"}, "P"},
                          {{.name = "n", .content_type = "text/plain; charset=utf-8"}, "2"}});

  const auto base64 = read(field +
                           "\"prompt\"\r\nContent-Transfer-Encoding: BASE64\r\nX-Other: "
                           "1\r\n\r\naGk=\r\n--b--");
  REQUIRE(base64.has_value());
  CHECK(*base64 == std::vector<Part>{{{.name = "prompt", .transfer_encoding = "base64"}, "aGk="}});
}

TEST_CASE("a form means the same however it is cut") {
  const std::string body =
      "preamble\r\n--b \t\r\nContent-Disposition: form-data; name=one\r\n\r\n\r\n--\r\n-b\r\r\n--a"
      "\r\n--b\r\nContent-Disposition: form-data; name=empty\r\n\r\n\r\n--b\r\n"
      "Content-Disposition: form-data; name=none\r\n\r\n--b\r\n"
      "Content-Disposition: form-data; name=last; filename=\"\"\r\n\r\n\r\n--b--\r\nepilogue";
  const std::vector<Part> wanted = {{{.name = "one"}, "\r\n--\r\n-b\r\r\n--a"},
                                    {{.name = "empty"}, ""},
                                    {{.name = "none"}, ""},
                                    {{.name = "last", .file_name = ""}, ""}};
  for (std::size_t cut = 0; cut <= body.size(); ++cut) {
    CAPTURE(cut);
    const auto parts = read_cut(body, cut);
    REQUIRE(parts.has_value());
    CHECK(*parts == wanted);
  }
  Parts parts;
  Result<FormReader> reader = FormReader::create("multipart/form-data; boundary=b", parts);
  REQUIRE(reader.has_value());
  for (const char c : body) REQUIRE(reader->read({&c, 1}).has_value());
  CHECK(reader->finish().has_value());
  CHECK(parts.all == wanted);
}

TEST_CASE("a boundary is taken as each client writes it") {
  const std::string body = field + "a\r\n\r\n1\r\n--b--";
  for (const char* type :
       {"multipart/form-data; boundary=b", "multipart/form-data;boundary=\"b\"",
        "Multipart/Form-Data; Charset=utf-8 ; Boundary=b ;", "multipart/form-data; boundary=b; x=y",
        "multipart/form-data; x=\";boundary=c\"; boundary=b"}) {
    CAPTURE(type);
    CHECK(read(body, type).has_value());
  }
  for (const std::string& type :
       {std::string("multipart/form-data"), std::string("multipart/form-data; boundary="),
        std::string("multipart/form-data; boundary=\"b"),
        std::string("multipart/form-data; boundary=b; boundary=c"),
        std::string("multipart/form-data; boundary=") + std::string(71, 'b')}) {
    CAPTURE(type);
    CHECK(refusal(read(body, type)).find("boundary") != std::string::npos);
  }
}

TEST_CASE("names keep their quotes, paths and signs") {
  struct Case {
    std::string disposition;
    std::string name;
    std::optional<std::string> file_name;
  };
  const std::vector<Case> cases = {
      {R"(name="a;b"; filename="c;d.png")", "a;b", "c;d.png"},
      {R"(name="say \"hi\" \\")", R"(say "hi" \)", {}},
      {R"(name="a"; filename="C:\pictures\new.png")", "a", R"(C:\pictures\new.png)"},
      {R"(name = a ; filename = b)", "a", "b"},
      {R"(filename=x; name=a)", "a", "x"},
      {R"(name=a; filename*=utf-8'en'b%20c)", "a", "b c"},
      {R"(name=a; filename="b"; filename*=iso-8859-1''%E4)", "a", "b"},
      {R"(name=a; filename*=broken)", "a", ""},
      {R"(name="")", "", {}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.disposition);
    const auto parts =
        read("--b\r\nContent-Disposition: form-data; " + c.disposition + "\r\n\r\n1\r\n--b--\r\n");
    REQUIRE(parts.has_value());
    CHECK(parts->front().head.name == c.name);
    CHECK(parts->front().head.file_name == c.file_name);
  }
}

TEST_CASE("any byte may stand in a part") {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  const auto parts = read(field + "a; filename=f\r\n\r\n" + all + "\r\n--b--\r\n");
  REQUIRE(parts.has_value());
  CHECK(parts->front().bytes == all);
  CHECK(read("--b--\r\n").value().empty());
}

TEST_CASE("what is no form is refused, and said why") {
  struct Case {
    std::string body;
    std::string why;
  };
  const std::vector<Case> cases = {
      {"", "ends before its last boundary"},
      {"hello", "ends before its last boundary"},
      {field + "a\r\n\r\n1", "ends before its last boundary"},
      {field + "a\r\n\r\n1\r\n--b", "ends before its last boundary"},
      {field + "a\r\n\r\n1\r\n--b-", "ends before its last boundary"},
      {field + "a\r\n", "ends before its last boundary"},
      {"--b\nContent-Disposition: form-data; name=a\n\n1\n--b--\n", "CR LF"},
      {"--b\r\nContent-Disposition: form-data; name=a\n\n1\r\n--b--", "CR LF"},
      {"--bc\r\n", "CR LF"},
      {"--b-c\r\n", "CR LF"},
      {"--b" + std::string(100, 'c'), "followed by something else"},
      {"--b\r\n\r\n1\r\n--b--", "Content-Disposition"},
      {"--b\r\nContent-Type: text/plain\r\n\r\n1\r\n--b--", "Content-Disposition"},
      {"--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--", "Content-Disposition"},
      {"--b\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--b--", "Content-Disposition"},
      {field + "a; name=b\r\n\r\n1\r\n--b--", "Content-Disposition"},
      {field + "\"a\r\n\r\n1\r\n--b--", "Content-Disposition"},
      {field + "\"a\"b\r\n\r\n1\r\n--b--", "Content-Disposition"},
      {field + "a; b\r\n\r\n1\r\n--b--", "Content-Disposition"},
      {field + "a\r\nContent-Disposition: form-data; name=b\r\n\r\n1\r\n--b--",
       "Content-Disposition"},
      {field + "a;\r\n filename=b\r\n\r\n1\r\n--b--", "no header field"},
      {field + std::string("a\0b\r\n\r\n1\r\n--b--", 14), "no header field"},
      {field + "a\r\nno colon\r\n\r\n1\r\n--b--", "no header field"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.body);
    for (const std::size_t cut : {std::size_t{0}, c.body.size() / 2, c.body.size()})
      CHECK(refusal(read_cut(c.body, cut)).find(c.why) != std::string::npos);
  }
}

TEST_CASE("a form may cost so much and no more") {
  const FormLimits limits{
      .max_parts = 2, .max_head_bytes = 100, .max_head_lines = 2, .max_around_bytes = 10};
  const std::string type = "multipart/form-data; boundary=b";
  const std::string part = field + "a\r\n\r\n1\r\n";
  CHECK(read(part + part + "--b--", type, limits).has_value());
  CHECK(refusal(read(part + part + part + "--b--", type, limits)).find("2 parts") !=
        std::string::npos);
  CHECK(refusal(read(field + "a\r\nA: 1\r\nB: 2\r\n\r\n", type, limits)).find("2 lines") !=
        std::string::npos);
  for (const std::string& head : {std::string(200, 'a'), "A: " + std::string(99, 'a')})
    CHECK(refusal(read("--b\r\n" + head, type, limits)).find("100 bytes") != std::string::npos);
  CHECK(refusal(read(std::string(11, '-'), type, limits)).find("10 bytes") != std::string::npos);
  CHECK(refusal(read("--b--" + std::string(11, 'a'), type, limits)).find("10 bytes") !=
        std::string::npos);
  CHECK(read("123456789\r\n--b--0123456789", type, limits).has_value());
}

// With a reader that searches what it has searched before, each of these takes minutes.
TEST_CASE("what is hostile is read in the time that its bytes take") {
  const std::string dashes(70, '-');
  const std::string type = "multipart/form-data; boundary=" + dashes;
  const std::size_t size = 2u << 20;
  const FormLimits any{.max_parts = size, .max_around_bytes = size};
  std::string nearly;
  while (nearly.size() < size) nearly.append("\r\n--").append(dashes.substr(1));
  for (const std::string& body : {std::string(size, '-'), nearly, std::string(size, '\r')}) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{4096}, size}) {
      Parts parts;
      Result<FormReader> reader = FormReader::create(type, parts, any);
      REQUIRE(reader.has_value());
      bool taken = true;
      for (std::size_t at = 0; at < body.size(); at += step)
        taken = taken && reader->read(std::string_view(body).substr(at, step)).has_value();
      CHECK(taken);
    }
  }
}

TEST_CASE("what the sink refuses ends the form with the sink's own words") {
  class Refusing final : public FormSink {
   public:
    Result<Done> begin_part(FormPartHead head) override {
      if (head.name == "no") return Error{ErrorKind::overloaded, "no part"};
      return Done{};
    }
    Result<Done> append(std::string_view) override {
      return Error{ErrorKind::body_too_large, "no bytes"};
    }
  } sink;
  for (const auto& [name, message] : {std::pair("no", "no part"), std::pair("yes", "no bytes")}) {
    Result<FormReader> reader = FormReader::create("multipart/form-data; boundary=b", sink);
    REQUIRE(reader.has_value());
    const Result<Done> read = reader->read(field + name + "\r\n\r\n1\r\n--b--");
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().message == message);
  }
}
