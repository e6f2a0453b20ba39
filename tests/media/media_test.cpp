#include "falproxy/media.hpp"

#include <doctest/doctest.h>

#include <string>

#include "support/pictures.hpp"

using namespace falproxy;
using media::Dimensions;
using media::ImageType;
using namespace falproxy::tests;

TEST_CASE("a picture's type is told from its first bytes") {
  struct Case {
    std::string bytes;
    std::optional<ImageType> type;
  };
  const Case cases[] = {
      {png_head(1, 1), ImageType::png},
      {jpeg_head(1, 1), ImageType::jpeg},
      {gif_head(1, 1), ImageType::gif},
      {"GIF87a", ImageType::gif},
      {webp_head(1, 1), ImageType::webp},
      {std::string("\0\0\0\x1C"
                   "ftypavif\0\0\0\0",
                   16),
       ImageType::avif},
      {"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", ImageType::svg},
      {"\xEF\xBB\xBF\n <?xml version=\"1.0\"?>\n<!-- made by hand -->\n<svg>", ImageType::svg},
      {"<!DOCTYPE svg PUBLIC \"x\"><svg/>", ImageType::svg},
      {"<?xml version=\"1.0\"?>" + std::string(5000, ' ') + "<svg/>", std::nullopt},
      {"<html><svg/></html>", std::nullopt},
      {std::string("RIFF\x24\0\0\0WAVE", 12), std::nullopt},
      {"\x89PNG\r\n", std::nullopt},
      {"%PDF-1.7", std::nullopt},
      {"", std::nullopt},
  };
  for (const Case& c : cases) {
    CAPTURE(c.bytes);
    CHECK(media::sniff(c.bytes) == c.type);
  }
}

TEST_CASE("names and media types lead to each other") {
  for (const ImageType type : {ImageType::png, ImageType::jpeg, ImageType::webp, ImageType::gif,
                               ImageType::svg, ImageType::avif}) {
    CHECK(media::from_mime(media::mime_type(type)) == type);
    CHECK(media::from_name(media::name_of(type)) == type);
  }
  CHECK(media::from_mime(" IMAGE/JPG ; charset=x") == ImageType::jpeg);
  CHECK(media::from_mime("image/svg+xml;charset=utf-8") == ImageType::svg);
  CHECK_FALSE(media::from_mime("text/html").has_value());
  CHECK(media::from_name("jpg") == ImageType::jpeg);
  CHECK(media::from_name("https://v3.fal.media/files/a.b/PHOTO.JPG?x=.png#.gif") ==
        ImageType::jpeg);
  CHECK_FALSE(media::from_name("png/x").has_value());
  CHECK_FALSE(media::from_name("").has_value());
}

TEST_CASE("dimensions are read from the head") {
  CHECK(media::dimensions(png_head(1024, 768)) == Dimensions{1024, 768});
  CHECK(media::dimensions(gif_head(320, 200)) == Dimensions{320, 200});
  CHECK(media::dimensions(webp_head(16383, 1)) == Dimensions{16383, 1});
  CHECK(media::dimensions(jpeg_head(640, 480, 60'000)) == Dimensions{640, 480});
  SUBCASE("of lossy WebP") {
    const std::string lossy = "RIFF" + little_endian(30, 4) + "WEBPVP8 " + little_endian(18, 4) +
                              std::string("\x30\x01\x00\x9D\x01\x2A", 6) +
                              little_endian(0x4000 | 550, 2) + little_endian(368, 2);
    CHECK(media::dimensions(lossy) == Dimensions{550, 368});
  }
  SUBCASE("of lossless WebP") {
    const std::uint32_t bits = (386 - 1) | (395 - 1) << 14;
    const std::string lossless = "RIFF" + little_endian(30, 4) + "WEBPVP8L" + little_endian(18, 4) +
                                 "\x2F" + little_endian(bits, 4) + "filler";
    CHECK(media::dimensions(lossless) == Dimensions{386, 395});
  }
  SUBCASE("of a JPEG with fill bytes and restart markers before the frame") {
    std::string bytes = jpeg_head(5, 7);
    bytes.insert(2, "\xFF\xD0\xFF\xFF\xFF\xFE" + big_endian(4, 2) + "hi");
    CHECK(media::dimensions(bytes) == Dimensions{5, 7});
  }
}

TEST_CASE("dimensions are those that are shown, whichever way the picture was stored (D2)") {
  for (std::uint32_t orientation = 1; orientation <= 8; ++orientation) {
    CAPTURE(orientation);
    const Dimensions shown = orientation >= 5 ? Dimensions{300, 200} : Dimensions{200, 300};
    std::string png = png_head(200, 300);
    for (const bool little : {false, true}) {
      std::string jpeg = jpeg_head(200, 300);
      CHECK(media::dimensions(jpeg.insert(2, exif_segment(orientation, little))) == shown);
      CHECK(media::dimensions(png + png_chunk("IDAT", "p") +
                              png_chunk("eXIf", tiff(orientation, little)) +
                              png_chunk("IEND", "")) == shown);
    }
    CHECK(media::dimensions(webp_with(200, 300, orientation)) == shown);
  }
  std::string nonsense = jpeg_head(200, 300);
  CHECK(media::dimensions(nonsense.insert(2, exif_segment(9))) == Dimensions{200, 300});
}

TEST_CASE("an AVIF has dimensions, turned as it says (D8)") {
  const auto avif = [](const std::string& turn) {
    const auto size = [](std::uint32_t width, std::uint32_t height) {
      return big_endian(20, 4) + "ispe" + big_endian(0, 4) + big_endian(width, 4) +
             big_endian(height, 4);
    };
    return std::string(
               "\0\0\0\x1C"
               "ftypmif1\0\0\0\0mif1avif\0\0\0\0",
               28) +
           size(100, 50) + size(400, 200) + turn;
  };
  CHECK(media::sniff(avif("")) == ImageType::avif);
  CHECK(media::dimensions(avif("")) == Dimensions{400, 200});
  CHECK(media::dimensions(avif(std::string("\0\0\0\x09irot\x01", 9))) == Dimensions{200, 400});
}

TEST_CASE("a file's metadata is cut but for its orientation, and nothing else is touched (D9)") {
  const auto cut = [](const std::string& file) {
    return media::without_metadata({nullptr, file})->str();
  };
  const auto segment = [](const char* marker, const std::string& data) {
    return marker + big_endian(static_cast<std::uint32_t>(data.size() + 2), 2) + data;
  };
  const std::string frame = jpeg_head(200, 300, 2).substr(8);  // behind its APP1
  const std::string start = "\xFF\xD8" + segment("\xFF\xE0", std::string("JFIF\0\1\1", 7));
  const std::string profile = segment("\xFF\xE2", std::string("ICC_PROFILE\0\1\1colours", 21));
  const std::string pixels =
      segment("\xFF\xDA", "x") + std::string("p\xFF\0p\xFF\xD0p", 7) + "\xFF\xD9";
  const std::string place = segment("\xFF\xE1", "http://ns.adobe.com/xap/1.0/ GPS") +
                            segment("\xFF\xED", "Photoshop 3.0 GPS") +
                            segment("\xFF\xFE", "GPS in a comment");
  for (const std::uint32_t orientation : {1U, 6U}) {
    CAPTURE(orientation);
    const bool turned = orientation != 1;
    const std::string jpeg = start + exif_segment(orientation) + place + profile + frame + pixels;
    const std::string left = cut(jpeg + start + exif_segment(3) + frame + pixels);
    CHECK(left.find("GPS") == std::string::npos);
    CHECK(left.starts_with(start));
    CHECK(left.ends_with(profile + frame + pixels));
    CHECK(left.size() == (start + profile + frame + pixels).size() + (turned ? 36 : 0));
    CHECK(media::dimensions(left) == media::dimensions(jpeg));
    CHECK(cut(left) == left);

    const std::string texts = png_chunk("tEXt", "GPS") + png_chunk("zTXt", "GPS") +
                              png_chunk("iTXt", "GPS") + png_chunk("tIME", "GPS");
    const std::string behind = png_chunk("IDAT", "pixels") + png_chunk("IEND", "");
    const std::string png = cut(png_head(200, 300) + texts + png_chunk("gAMA", "1234") +
                                png_chunk("eXIf", tiff(orientation)) + behind + "GPS");
    CHECK(png.find("GPS") == std::string::npos);
    CHECK(png.starts_with(png_head(200, 300)));
    CHECK(png.ends_with(png_chunk("gAMA", "1234") + behind));
    CHECK((media::dimensions(png) == Dimensions{300, 200}) == turned);
    CHECK(media::is_whole(png));
    CHECK(cut(png) == png);

    const std::string webp = cut(webp_with(200, 300, orientation) + "GPS");
    CHECK(webp.find("GPS") == std::string::npos);
    CHECK(webp.find(riff_chunk("VP8 ", "pixel")) != std::string::npos);
    CHECK(webp[20] == (turned ? '\x28' : '\x20'));
    CHECK(webp.substr(4, 4) == little_endian(static_cast<std::uint32_t>(webp.size() - 8), 4));
    CHECK((media::dimensions(webp) == Dimensions{300, 200}) == turned);
    CHECK(cut(webp) == webp);
  }
  for (const std::string& file : {gif_head(3, 4) + ";", std::string("no picture"), std::string()})
    CHECK(cut(file) == file);
}

TEST_CASE("only what a decoder needs is left of a file, whatever else it holds") {
  const auto cut = [](const std::string& file) {
    return media::without_metadata({nullptr, file})->str();
  };
  const std::string pixels = png_chunk("IDAT", "pixels");
  const std::string colours = png_chunk("iCCP", "p") + png_chunk("cICP", "1111");
  const std::string frames = png_chunk("acTL", "12345678") + png_chunk("fcTL", "f");
  CHECK(cut(png_head(2, 3) + png_chunk("caBX", "C2PA: at home") + colours + frames + pixels +
            png_chunk("prVt", "mine") + png_chunk("fdAT", "f") + png_chunk("IEND", "")) ==
        png_head(2, 3) + colours + frames + pixels + png_chunk("fdAT", "f") +
            png_chunk("IEND", ""));
  const auto webp = [](const std::string& more) {
    std::string file = webp_head(2, 3) + riff_chunk("ICCP", "p") + riff_chunk("ALPH", "a") +
                       riff_chunk("VP8 ", "pixel") + more;
    return file.replace(4, 4, little_endian(static_cast<std::uint32_t>(file.size() - 8), 4));
  };
  CHECK(cut(webp(riff_chunk("C2PA", "at home") + riff_chunk("mine", "x"))) == webp(""));
}

TEST_CASE("a file whose metadata stands in a thousand places is refused, whatever its size") {
  std::string hostile = png_head(2, 3);
  std::string honest = hostile;
  for (int i = 0; i < 1100; ++i) {
    hostile += png_chunk("tEXt", "x") + png_chunk("IDAT", "p");
    honest += png_chunk("IDAT", "p");
  }
  for (int i = 0; i < 1100; ++i) honest += png_chunk("tEXt", "x");
  CHECK_FALSE(media::without_metadata({nullptr, hostile}).has_value());
  const auto cut = media::without_metadata({nullptr, honest});
  REQUIRE(cut.has_value());
  CHECK(cut->pieces().size() < 3);
  std::string jpeg = "\xFF\xD8\xFF";
  for (int i = 0; i < 1100; ++i) jpeg += "\xFF\xFE" + big_endian(2, 2) + "\xFF\xD0";
  CHECK_FALSE(media::without_metadata({nullptr, jpeg}).has_value());
}

TEST_CASE(
    "what decoders show is whole: without a mark at its end, without a screen, however small") {
  const std::string frame = std::string("\x2C\0\0\0\0\7\0\5\0\0\2\1x\0", 14);
  const std::string comment("\x21\xFE\2hi\0", 6);
  CHECK(media::is_whole(gif_head(7, 5) + comment + frame));
  CHECK_FALSE(media::is_whole(gif_head(7, 5) + comment));
  CHECK_FALSE(media::is_whole(gif_head(7, 5) + frame.substr(0, 13)));
  CHECK(media::dimensions(gif_head(0, 0) + comment + frame + ";") == Dimensions{7, 5});
  CHECK(media::is_whole(gif_head(0, 0) + comment + frame + ";"));
  CHECK_FALSE(media::is_whole(gif_head(0, 0) + comment + ";"));
  const std::string png = png_head(2, 2) + png_chunk("IDAT", "pixels");
  CHECK(media::is_whole(png));
  CHECK_FALSE(media::is_whole(png.substr(0, png.size() - 1)));
  CHECK_FALSE(media::is_whole(png_head(2, 2)));
  const std::string dot = "RIFF" + little_endian(18, 4) + "WEBPVP8L" + little_endian(5, 4) +
                          std::string("\x2F\0\0\0\0\0", 6);
  CHECK(media::dimensions(dot) == Dimensions{1, 1});
  CHECK(media::is_whole(dot));
}

TEST_CASE("a WebP whose head says that nothing follows is none, and is not cut to nothing") {
  std::string empty = webp_with(20, 30, 6);
  empty.replace(4, 4, std::string(4, '\0'));
  CHECK_FALSE(media::dimensions(empty).has_value());
  CHECK_FALSE(media::is_whole(empty));
  CHECK(media::without_metadata({nullptr, empty})->str() == empty);
}

TEST_CASE("the orientation of a picture can be told by itself") {
  std::string jpeg = jpeg_head(200, 300);
  jpeg.insert(2, exif_segment(6, true));
  const std::string exif = media::orientation_exif(jpeg);
  CHECK(media::dimensions(png_head(200, 300) + png_chunk("eXIf", exif)) == Dimensions{300, 200});
  CHECK(exif.find("GPS") == std::string::npos);
  for (const std::string& plain : {png_head(1, 2), gif_head(1, 2), std::string("no picture")})
    CHECK(media::orientation_exif(plain).empty());
}

TEST_CASE("a PNG that keeps its orientation has the checksum that its readers want (D9)") {
  const std::string png =
      media::without_metadata(
          {nullptr, png_head(2, 3) + png_chunk("eXIf", tiff(6)) + png_chunk("IEND", "")})
          ->str();
  CHECK(png.substr(png.find("eXIf") + 4 + 26, 4) == "\xD6\x67\x4B\x69");
}

TEST_CASE("no bytes make the cutting of metadata go astray") {
  const std::string chunk = png_chunk("eXIf", tiff(6));
  std::string jpeg = jpeg_head(10, 20);
  for (const std::string& bytes : {png_head(10, 20) + chunk + png_chunk("IEND", ""),
                                   jpeg.insert(2, exif_segment(6)), webp_with(10, 20, 6)}) {
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      const std::string part = bytes.substr(0, at);
      const std::string whole = media::without_metadata({nullptr, part})->str();
      CHECK(whole.size() <= at + 40);
      CHECK(media::dimensions(whole) == media::dimensions(part));
      for (const int value : {0x00, 0x01, 0x7F, 0xC0, 0xD8, 0xFE, 0xFF}) {
        std::string changed = bytes;
        changed[at] = static_cast<char>(value);
        const std::string cut = media::without_metadata({nullptr, changed})->str();
        CHECK(cut.size() <= changed.size() + 40);
        CHECK(media::without_metadata({nullptr, cut})->str() == cut);
      }
    }
  }
}

TEST_CASE("a head that is cut off or broken has no dimensions, at whatever byte") {
  const std::string whole[] = {png_head(10, 20), jpeg_head(10, 20), gif_head(10, 20),
                               webp_head(10, 20)};
  for (const std::string& bytes : whole) {
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const auto found = media::dimensions(std::string_view(bytes).substr(0, size));
      CHECK((!found.has_value() || *found == Dimensions{10, 20}));
    }
  }
  CHECK_FALSE(media::dimensions(png_head(0, 20)).has_value());
  CHECK_FALSE(media::dimensions(gif_head(20, 0)).has_value());
  CHECK_FALSE(
      media::dimensions("\xFF\xD8\xFF\xE1" + big_endian(1, 2) + std::string(20, 'x')).has_value());
  CHECK_FALSE(media::dimensions("\xFF\xD8\xFF\xDA" + jpeg_head(1, 1).substr(2)).has_value());
  CHECK_FALSE(media::dimensions("\xFF\xD8\xFFxxxxxxxxxxxxxxxxxxxxx").has_value());
  CHECK_FALSE(media::dimensions("<svg width='5' height='5'/>").has_value());
}

TEST_CASE("no bytes make the reading of dimensions go astray") {
  // Every byte of every head, changed to a few others.
  for (const std::string& bytes :
       {png_head(10, 20), jpeg_head(10, 20), gif_head(10, 20), webp_head(10, 20)}) {
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (const int value : {0x00, 0x01, 0x7F, 0xC0, 0xD8, 0xFE, 0xFF}) {
        std::string changed = bytes;
        changed[at] = static_cast<char>(value);
        const auto found = media::dimensions(changed);
        CHECK((!found.has_value() || (found->width > 0 && found->height > 0)));
      }
    }
  }
}

TEST_CASE("a data URI is taken apart") {
  struct Case {
    const char* text;
    const char* mime;
    const char* base64;
  };
  for (const Case& c :
       {Case{"data:image/png;base64,AAAA", "image/png", "AAAA"},
        Case{"DATA:image/svg+xml;charset=utf-8;BASE64,AA==", "image/svg+xml", "AA=="},
        Case{"data:image/png; Base64 ,AA", "image/png", "AA"},
        Case{"data:;base64,", "text/plain", ""}, Case{"data:a,b;base64,AAAA", nullptr, nullptr},
        Case{"data:image/png,AAAA", nullptr, nullptr},
        Case{"data:image/png;base64", nullptr, nullptr}, Case{"https://x/", nullptr, nullptr},
        Case{"data", nullptr, nullptr}, Case{"", nullptr, nullptr}}) {
    CAPTURE(std::string(c.text));
    const auto uri = media::parse_data_uri(c.text);
    REQUIRE(uri.has_value() == (c.mime != nullptr));
    if (!uri.has_value()) continue;
    CHECK(uri->mime == c.mime);
    CHECK(uri->base64 == c.base64);
  }
}
