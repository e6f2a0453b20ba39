#include "scripts.hpp"

#include <array>
#include <cstddef>

namespace falproxy::inline v0::redis {
namespace {

// A record stands under `r:` and its id: a head of fixed places (fence, promised, open, holds its
// key, the length of what stays), what stays (a mark of it, created, digest, key, owner, surface),
// and the packed record. Indexes are sorted sets whose members are `created` and the id.
constexpr const char* prelude = R"(
local P='falproxy:'
local sub,call=string.sub,redis.call
local function stay_of(v) local n=tonumber(sub(v,25,28)) return sub(v,29,28+n),29+n end
local function names(s)
  local at,key=62,nil
  if sub(s,61,61)=='1' then key=sub(s,62,93) at=94 end
  local n=tonumber(sub(s,at,at+4))
  local owner,surface=sub(s,at+5,at+4+n),sub(s,at+5+n)
  if key then key=P..'k:'..owner..'\0'..key end
  if surface=='' then surface=nil else surface=P..'s:'..owner..'\0'..surface end
  return P..'d:'..owner..'\0'..sub(s,29,60),key,P..'o:'..owner,surface,owner
end
local function member(s,id) return sub(s,9,28)..id end
local function drop(id)
  local v=call('GET',P..'r:'..id)
  if not v then return end
  local s=stay_of(v)
  local m=member(s,id)
  local d,k,o,u=names(s)
  call('ZREM',d,m)
  if k then call('ZREM',k,m) end
  call('ZREM',o,m)
  if u then call('ZREM',u,m) end
  call('ZREM',P..'open',m)
  call('ZREM',P..'exp',id)
  call('DEL',P..'r:'..id)
end
local function stand_media(id,owner,row,state,size)
  if state=='0' then call('ZADD',P..'mwait',row,id) end
  if state~='1' then return end
  call('HINCRBY',P..'mfiles',owner,1)
  call('HINCRBY',P..'mbytes',owner,size)
  call('ZADD',P..'mkept',row,id)
  call('ZADD',P..'mk:'..owner,row,id)
end
local function stand(code,info) return {code,info,call('ZCARD',P..'exp'),call('ZCARD',P..'open')} end
local function add_spending(at)
  local key,i=P..'sp:'..ARGV[at],0
  for figure in string.gmatch(ARGV[at+2],'%S+') do
    i=i+1
    if figure~='0' then
      call('ZADD',P..'spdays',ARGV[at],ARGV[at])
      call('HINCRBY',key,ARGV[at+1]..'\0'..i,figure)
    end
  end
end
local function now() local t=call('TIME') return t[1]*1000+math.floor(t[2]/1000) end
)";

constexpr std::array<const char*, script_count> bodies = {
    // write: of what is there already the mark of what stays is enough
    R"(
local id,fence,flags,stay,body,expiry,known=unpack(ARGV)
fence=string.rep('0',20-#fence)..fence
local old=call('GET',P..'r:'..id)
if #stay==8 then
  if not old then return stand(4,'') end
  local s=stay_of(old)
  if sub(s,1,8)==stay then stay=s end
end
local v=fence..flags..string.format('%04d',#stay)..stay..body
if old then
  if old==v then return stand(0,'') end
  local stored=sub(old,1,20)
  if fence<=stored then return stand(1,stored) end
  if stay_of(old)~=stay then return stand(2,'') end
end
local d,k,o,u=names(stay)
local m=member(stay,id)
if known and k then
  for _,other in ipairs(call('ZREVRANGEBYLEX',k,'+','-','LIMIT',0,50)) do
    local oid=sub(other,21)
    if oid~=id and not string.find(known,oid,1,true) then
      local ov=call('GET',P..'r:'..oid)
      if ov and sub(ov,23,23)=='1' then return stand(3,oid) end
    end
  end
end
call('SET',P..'r:'..id,v)
call('ZADD',P..'exp',expiry,id)
if not old then call('ZADD',d,0,m) end
local holds,held=sub(flags,3,3),'0'
if old then held=sub(old,23,23) end
if k and holds~=held then
  if holds=='1' then call('ZADD',k,0,m) else call('ZREM',k,m) end
end
if sub(flags,1,1)=='1' then
  call('ZADD',o,0,m)
  if u then call('ZADD',u,0,m) end
elseif old and sub(old,21,21)=='1' then
  call('ZREM',o,m)
  if u then call('ZREM',u,m) end
end
if sub(flags,2,2)=='1' then call('ZADD',P..'open',0,m) elseif old then call('ZREM',P..'open',m) end
return stand(0,'')
)",
    // erase
    R"(
local v=call('GET',P..'r:'..ARGV[1])
if v and sub(v,21,21)=='1' then drop(ARGV[1]) end
return stand(0,'')
)",
    // find
    R"(
local index,newest,least,greatest,limit,owner=unpack(ARGV)
limit=tonumber(limit)
local found,at={},0
repeat
  local some
  if newest=='1' then
    some=call('ZREVRANGEBYLEX',P..index,greatest,least,'LIMIT',at,200)
  else
    some=call('ZRANGEBYLEX',P..index,least,greatest,'LIMIT',at,200)
  end
  for _,m in ipairs(some) do
    if #found>=limit then break end
    local v=call('GET',P..'r:'..sub(m,21))
    if v then
      local s,body=stay_of(v)
      local _,_,_,_,whose=names(s)
      if owner=='' or owner==whose then found[#found+1]=sub(v,body) end
    end
  end
  at=at+#some
until #some<200 or #found>=limit
return found
)",
    // forget
    R"(
local gone=call('ZRANGEBYSCORE',P..'exp','-inf',ARGV[1],'LIMIT',0,tonumber(ARGV[2]))
for _,id in ipairs(gone) do drop(id) end
return stand(#gone,'')
)",
    // post: an owner's hash has a sum for each day, week and month, and the total
    R"(
local once,back=ARGV[1],ARGV[2]=='1'
local mark,had=P..'once:'..once,nil
if once~='' then had=call('GET',mark) end
local at=3
local function word() at=at+1 return ARGV[at-1] end
local charges,bounds,added={},{},{}
for i=1,tonumber(word()) do bounds[i]={word(),word(),tonumber(word())} end
for i=1,tonumber(word()) do
  charges[i]={word(),word(),word()}
  added[charges[i][1]]=(added[charges[i][1]] or 0)+tonumber(charges[i][3])
end
local done,posts=1,not had
if had=='0' then done=0 end
if back then posts=had=='1' end
for _,b in ipairs(bounds) do
  if not posts then break end
  local spent=tonumber(call('HGET',P..'c:'..b[1],b[2]) or '0')
  if spent>=b[3] or spent+(added[b[1]] or 0)>b[3] then done=0 end
end
if done==1 and posts then
  for _,c in ipairs(charges) do
    local key,amount=P..'c:'..c[1],c[3]
    if back then
      if sub(amount,1,1)=='-' then amount=sub(amount,2) else amount='-'..amount end
    end
    call('SADD',P..'owners',c[1])
    for window in string.gmatch(c[2],'%S+') do call('HINCRBY',key,window,amount) end
    if call('HLEN',key)>100 then
      local today=tonumber(string.match(c[2],'%d+'))
      for _,window in ipairs(call('HKEYS',key)) do
        local day=string.match(window,'%d+')
        if day and tonumber(day)<today-70 then call('HDEL',key,window) end
      end
    end
  end
end
if done==1 and posts and ARGV[at] then add_spending(at) end
if once~='' then
  if back then call('SET',mark,'0','EX',21600)
  elseif done==1 and posts then call('SET',mark,'1','EX',21600) end
end
local told={done}
for _,b in ipairs(bounds) do
  told[#told+1]=b[1]
  told[#told+1]=call('HGETALL',P..'c:'..b[1])
end
return told
)",
    // balances
    R"(
local page=call('SSCAN',P..'owners',ARGV[1],'COUNT',ARGV[2])
local told={page[1]}
for _,owner in ipairs(page[2]) do
  local sums={}
  for i=3,#ARGV do
    sums[#sums+1]=ARGV[i]
    sums[#sums+1]=call('HGET',P..'c:'..owner,ARGV[i]) or '0'
  end
  told[#told+1]=owner
  told[#told+1]=sums
end
return told
)",
    // add
    R"(
add_spending(1)
return 1
)",
    // drop_spending
    R"(
for _,day in ipairs(call('ZRANGEBYSCORE',P..'spdays','-inf','('..ARGV[1])) do
  call('DEL',P..'sp:'..day)
  call('ZREM',P..'spdays',day)
end
return 1
)",
    // take_place
    R"(
local account,ticket,limit,lease=unpack(ARGV)
local key,at=P..'places:'..account,now()
call('ZREMRANGEBYSCORE',key,'-inf',at)
if not call('ZSCORE',key,ticket) and call('ZCARD',key)>=tonumber(limit) then return 0 end
call('ZADD',key,at+lease,ticket)
call('PEXPIRE',key,2*lease)
return 1
)",
    // take_turn: the rate as GCRA, in microseconds: what is kept is when all requests may come
    // again
    R"(
local client,ticket,places,lease,requests,period=unpack(ARGV)
places,requests,period=tonumber(places),tonumber(requests),tonumber(period)
local key,at=P..'places:c:'..client,now()
if places>0 then
  call('ZREMRANGEBYSCORE',key,'-inf',at)
  if call('ZCARD',key)>=places then return {1,0,0,0} end
end
local remaining,full=0,0
if requests>0 then
  local bucket=P..'rate:'..client..':'..requests..'/'..period
  local t=call('TIME')
  local micro=t[1]*1000000+t[2]
  local each=period*1000/requests
  full=math.max(tonumber(call('GET',bucket) or '0')-micro,0)
  local over=full+each-period*1000
  if over>0.5 then return {2,0,math.ceil(over/1000),math.ceil(full/1000)} end
  full=full+each
  call('SET',bucket,string.format('%.3f',micro+full),'PX',math.ceil(full/1000)+1)
  remaining=math.floor((period*1000-full)/each+0.001)
end
if places>0 then
  call('ZADD',key,at+lease,ticket)
  call('PEXPIRE',key,2*lease)
end
return {0,remaining,0,math.ceil(full/1000)}
)",
    // take_probe: who is given it has half a minute, and the others leave it alone meanwhile
    R"(
local name,stamp,lease=ARGV[1],ARGV[2],tonumber(ARGV[3])
local had,at=call('HGET',P..'bans',name),now()
if not had then return 0 end
local left=tonumber(string.match(had,'^%d+'))-at
if left>0 then return left end
call('HSET',P..'bans',name,string.format('%.0f',at+lease)..' '..stamp)
return 0
)",
    // beat: `bans` has of each kind and name when the ban ends, and its stamp. One that has ended
    // is told for a while longer. `cancels` are remembered for two minutes.
    R"(
local process,lease,again=ARGV[1],tonumber(ARGV[2]),ARGV[3]
local at,i=now(),4
call('ZADD',P..'members',at+lease,process)
call('ZREMRANGEBYSCORE',P..'members','-inf',at)
local count=tonumber(ARGV[i])
for j=i+1,i+3*count,3 do
  if ARGV[j+2]=='' then call('HDEL',P..'bans',ARGV[j])
  else
    call('HSET',P..'bans',ARGV[j],string.format('%.0f',at+tonumber(ARGV[j+2]))..' '..ARGV[j+1])
  end
end
i=i+3*count+1
count=tonumber(ARGV[i])
for j=i+1,i+count do call('ZADD',P..'cancels',at+120000,ARGV[j]) end
i=i+count+1
call('ZREMRANGEBYSCORE',P..'cancels','-inf',at)
for j=i,#ARGV,2 do
  local key=P..'places:'..ARGV[j]
  if again=='1' then
    call('ZADD',key,at+lease,ARGV[j+1])
  else
    call('ZADD',key,'XX',at+lease,ARGV[j+1])
  end
  call('PEXPIRE',key,2*lease)
end
local bans,all={},call('HGETALL',P..'bans')
for j=1,#all,2 do
  local left=tonumber(string.match(all[j+1],'^%d+'))-at
  local kept=86400000
  if sub(all[j],1,1)=='0' then kept=10000 end
  if left+kept<0 then call('HDEL',P..'bans',all[j])
  else
    for _,word in ipairs({all[j],string.match(all[j+1],' (.*)$'),string.format('%.0f',left)}) do
      bans[#bans+1]=word
    end
  end
end
return {call('ZRANGE',P..'members',0,-1),bans,call('ZRANGE',P..'cancels',0,999)}
)",
    // note_media
    R"(
for i=1,#ARGV,6 do
  local id,value,owner,expiry,state,size=unpack(ARGV,i,i+5)
  if call('EXISTS',P..'m:'..id)==0 then
    local row=call('INCR',P..'mrow')
    call('HSET',P..'m:'..id,'v',value,'o',owner,'r',row,'s',state,'z',size)
    if state~='3' then call('ZADD',P..'mo:'..owner,row,id) end
    call('ZADD',P..'mexp',expiry,id)
    stand_media(id,owner,row,state,size)
  end
end
return 1
)",
    // change_media
    R"(
local id,state,size,kind=unpack(ARGV)
local key=P..'m:'..id
if call('EXISTS',key)==0 then return 0 end
local had=call('HMGET',key,'o','s','z','r')
local owner,was,bytes,row=had[1],had[2],had[3],had[4]
if was=='3' then return 0 end
if was=='1' then
  call('HINCRBY',P..'mfiles',owner,-1)
  call('HINCRBY',P..'mbytes',owner,-bytes)
end
call('HSET',key,'s',state,'z',size,'t',kind)
call('ZREM',P..'mwait',id)
call('ZREM',P..'mkept',id)
call('ZREM',P..'mk:'..owner,id)
stand_media(id,owner,row,state,size)
return 1
)",
    // forget_media
    R"(
local id=ARGV[1]
local key=P..'m:'..id
local had=call('HMGET',key,'o','s','z')
if not had[1] then return 0 end
local owner=had[1]
if had[2]=='1' then
  if call('HINCRBY',P..'mfiles',owner,-1)<=0 then call('HDEL',P..'mfiles',owner) end
  if call('HINCRBY',P..'mbytes',owner,-had[3])<=0 then call('HDEL',P..'mbytes',owner) end
end
call('DEL',key)
for _,index in ipairs({'mexp','mwait','mkept','mo:'..owner,'mk:'..owner}) do
  call('ZREM',P..index,id)
end
return 1
)",
    // find_media
    R"(
local by,owner,what,limit=ARGV[1],ARGV[2],ARGV[3],tonumber(ARGV[4])
local ids
if by=='id' then ids={what}
elseif by=='owner' then
  local from='+inf'
  if what~='' then from='('..(call('HGET',P..'m:'..what,'r') or '0') end
  ids=call('ZREVRANGEBYSCORE',P..'mo:'..owner,from,'-inf','LIMIT',0,limit)
elseif by=='oldest' then
  local index='mkept'
  if owner~='' then index='mk:'..owner end
  ids=call('ZRANGE',P..index,0,limit-1)
elseif by=='expired' then ids=call('ZRANGEBYSCORE',P..'mexp','-inf',what,'LIMIT',0,limit)
else ids=call('ZRANGE',P..'mwait',0,limit-1) end
local found={}
for _,id in ipairs(ids) do
  local had=call('HMGET',P..'m:'..id,'v','s','z','t','o')
  if had[1] and (owner=='' or owner==had[5]) then
    for _,word in ipairs({id,had[1],had[2],had[3],had[4] or ''}) do found[#found+1]=word end
  end
end
return found
)",
    // media_totals
    R"(
return {call('HGETALL',P..'mfiles'),call('HGETALL',P..'mbytes')}
)",
    // put_text: a version is a time, so that none comes again after Redis has lost its data
    R"(
local name,text,version=unpack(ARGV)
local at=call('GET',P..'tv:'..name) or '0'
if version~='' and version~=at then return 0 end
call('SET',P..'tv:'..name,string.format('%.0f',math.max(tonumber(at)+1,now())))
if text=='' then call('DEL',P..'t:'..name) else call('SET',P..'t:'..name,text) end
return 1
)",
    // newer_text
    R"(
local name,version=unpack(ARGV)
local at=call('GET',P..'tv:'..name) or '0'
if version==at then return {at} end
return {at,call('GET',P..'t:'..name) or ''}
)",
    // put_first
    R"(
local name,text=unpack(ARGV)
local at=call('GET',P..'tv:'..name)
if at then return {at,call('GET',P..'t:'..name) or ''} end
at=string.format('%.0f',now())
call('SET',P..'tv:'..name,at)
call('SET',P..'t:'..name,text)
return {at,text}
)"};

}  // namespace

const std::string& text_of(Script script) {
  static const auto texts = [] {
    std::array<std::string, script_count> all;
    for (std::size_t i = 0; i < script_count; ++i) all[i] = std::string(prelude) + bodies[i];
    return all;
  }();
  return texts[static_cast<std::size_t>(script)];
}

}  // namespace falproxy::inline v0::redis
