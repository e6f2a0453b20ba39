#include <doctest/doctest.h>

#include <random>
#include <sstream>
#include <string>

#include "falproxy/state_store.hpp"
#include "support/store_laws.hpp"

using namespace falproxy;

TEST_CASE("a run's id is 32 hexadecimal digits") {
  const auto id = RunId::parse("00ffA7b0000000000000000000000001");
  REQUIRE(id.has_value());
  CHECK(id->bytes[1] == 0xFF);
  CHECK(id->bytes[2] == 0xA7);
  CHECK(id->bytes[15] == 1);
  CHECK(id->to_string() == "00ffa7b0000000000000000000000001");
  for (const char* text :
       {"", "00", "00ffa7b000000000000000000000000", "00ffa7b00000000000000000000000012",
        "00ffa7b000000000000000000000000g", "0x0ffa7b000000000000000000000001"}) {
    CAPTURE(text);
    CHECK_FALSE(RunId::parse(text).has_value());
  }
}

TEST_CASE("what is packed is unpacked as it was, and a small record is small") {
  for (const RunRecord& record : {tests::run(1), tests::full_run()}) {
    const auto packed = pack(record);
    REQUIRE(packed.has_value());
    const auto back = unpack(*packed);
    REQUIRE(back.has_value());
    CHECK(*back == record);
    CHECK(*pack(*back) == *packed);
  }
  CHECK(tests::full_run().fault->message == unpack(*pack(tests::full_run()))->fault->message);
  CHECK(pack(tests::run(1))->size() < 200);
}

TEST_CASE("a field that a newer version added is passed over") {
  std::string packed = *pack(tests::full_run());
  packed += std::string("\x80\x08", 2) + '\x05';          // a number of tag 512
  packed += std::string("\x83\x08", 2) + '\x03' + "abc";  // bytes of tag 513
  const auto back = unpack(packed);
  REQUIRE(back.has_value());
  CHECK(*back == tests::full_run());
}

TEST_CASE("bytes that are no record are damaged, and never more than that") {
  const std::string whole = *pack(tests::full_run());
  for (std::size_t length = 0; length < 90; ++length) {
    CAPTURE(length);
    const auto cut = unpack(std::string_view(whole).substr(0, length));
    if (!cut.has_value()) CHECK(cut.error().fault == StoreFault::damaged);
  }
  CHECK_FALSE(unpack(std::string_view(whole).substr(0, 48)).has_value());
  CHECK_FALSE(unpack(std::string_view(whole).substr(0, whole.size() - 1)).has_value());
  CHECK_FALSE(unpack('\x02' + whole.substr(1)).has_value());
  CHECK_FALSE(unpack(std::string(max_record_bytes + 1, '\x01')).has_value());

  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string broken = whole;
    for (int n = 0; n < 3; ++n) broken[random() % broken.size()] = static_cast<char>(random());
    const auto read = unpack(broken);
    // What is read is a record: it can be written again.
    if (read.has_value()) CHECK(pack(*read).has_value());
  }
}

TEST_CASE("no prompt is printed") {
  std::ostringstream out;
  out << tests::full_run();
  CHECK(out.str().find("lighthouse") == std::string::npos);
  CHECK(out.str().find("RunRecord{id: a7000000000000000000000000000007, fence: 3, state: failed") ==
        0);
}
