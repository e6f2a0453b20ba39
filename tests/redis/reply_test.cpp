#include "reply.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace falproxy::redis;

namespace {

// What is made of bytes that come in pieces of that size; "fault" if they are refused.
std::string read_as(const std::string& bytes, std::size_t piece) {
  ReplyReader reader;
  std::string held, text;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    held += bytes.substr(at, piece);
    held.erase(0, reader.feed(held));
    if (!reader.fault().empty()) return "fault";
    while (const auto reply = reader.next()) {
      switch (reply->kind) {
        case Reply::Kind::nothing:
          text += "nothing ";
          break;
        case Reply::Kind::text:
          text += reply->text + " ";
          break;
        case Reply::Kind::error:
          text += "!" + reply->text + " ";
          break;
        case Reply::Kind::number:
          text += std::to_string(reply->number) + " ";
          break;
        case Reply::Kind::list:
          text += std::to_string(reply->items.size()) + ":" + reply->at(0).text + " ";
          break;
      }
    }
  }
  return text;
}

}  // namespace

TEST_CASE("answers are read, in whatever pieces they come") {
  const std::string all =
      "+OK\r\n-ERR no\r\n:-7\r\n$5\r\nab\r\nc\r\n$-1\r\n*-1\r\n*0\r\n*2\r\n$1\r\nx\r\n*1\r\n:1\r\n"
      "$0\r\n\r\n";
  for (const std::size_t piece : {1UL, 2UL, 3UL, 7UL, 1000UL})
    CHECK(read_as(all, piece) == "OK !ERR no -7 ab\r\nc nothing nothing 0: 2:x  ");
}

TEST_CASE("a head that asks for too much, or is none, is refused before it costs memory") {
  for (const char* bytes :
       {"*2147483647\r\n", "*9223372036854775807\r\n", "*200001\r\n", "$16777217\r\n", "$-2\r\n",
        "*1x\r\n", "$\r\n", ":seven\r\n", "?1\r\n", "\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        "$99999999999999999999999999999999", "%1\r\n+a\r\n+b\r\n"}) {
    CAPTURE(bytes);
    CHECK(read_as(bytes, 1) == "fault");
    CHECK(read_as(bytes, 1000) == "fault");
  }
}

TEST_CASE("an answer of many small pieces is refused once it is too large as a whole") {
  ReplyReader reader;
  std::string text(16 << 20, 'x');
  const std::string item = "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
  std::string bytes = "*9\r\n";
  for (int i = 0; i < 5 && reader.fault().empty(); ++i) {
    bytes += item;
    bytes.erase(0, reader.feed(bytes));
  }
  CHECK_FALSE(reader.fault().empty());
}

TEST_CASE("a command is written with the length of each word") {
  CHECK(command_of({"SET", std::string("a\0b", 3), ""}) ==
        std::string("*3\r\n$3\r\nSET\r\n$3\r\na\0b\r\n$0\r\n\r\n", 28));
}
