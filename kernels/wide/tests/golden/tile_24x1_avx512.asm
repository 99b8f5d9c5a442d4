   0  lea rax, [rdi+6000h]
   7  vbroadcastss zmm0, [rcx]
   d  vbroadcastss zmm1, [rcx+4]
  14  vbroadcastss zmm2, [rcx+8]
  1b  vbroadcastss zmm3, [rcx+0Ch]
  22  vbroadcastss zmm4, [rcx+10h]
  29  vbroadcastss zmm5, [rcx+14h]
  30  vbroadcastss zmm6, [rcx+18h]
  37  vbroadcastss zmm7, [rcx+1Ch]
  3e  vbroadcastss zmm8, [rcx+20h]
  45  vbroadcastss zmm9, [rcx+24h]
  4c  vbroadcastss zmm10, [rcx+28h]
  53  vbroadcastss zmm11, [rcx+2Ch]
  5a  vbroadcastss zmm12, [rcx+30h]
  61  vbroadcastss zmm13, [rcx+34h]
  68  vbroadcastss zmm14, [rcx+38h]
  6f  vbroadcastss zmm15, [rcx+3Ch]
  76  vbroadcastss zmm16, [rcx+40h]
  7d  vbroadcastss zmm17, [rcx+44h]
  84  vbroadcastss zmm18, [rcx+48h]
  8b  vbroadcastss zmm19, [rcx+4Ch]
  92  vbroadcastss zmm20, [rcx+50h]
  99  vbroadcastss zmm21, [rcx+54h]
  a0  vbroadcastss zmm22, [rcx+58h]
  a7  vbroadcastss zmm23, [rcx+5Ch]
  ae  nop [rax+rax]
  b7  nop [rax+rax]
  c0  vmovups zmm24, [rsi]
  c6  vfmadd231ps zmm0, zmm24, [rdi]{1to16}
  cc  vfmadd231ps zmm1, zmm24, [rdi+4]{1to16}
  d3  vfmadd231ps zmm2, zmm24, [rdi+8]{1to16}
  da  vfmadd231ps zmm3, zmm24, [rdi+0Ch]{1to16}
  e1  vfmadd231ps zmm4, zmm24, [rdi+10h]{1to16}
  e8  vfmadd231ps zmm5, zmm24, [rdi+14h]{1to16}
  ef  vfmadd231ps zmm6, zmm24, [rdi+18h]{1to16}
  f6  vfmadd231ps zmm7, zmm24, [rdi+1Ch]{1to16}
  fd  vfmadd231ps zmm8, zmm24, [rdi+20h]{1to16}
 104  vfmadd231ps zmm9, zmm24, [rdi+24h]{1to16}
 10b  vfmadd231ps zmm10, zmm24, [rdi+28h]{1to16}
 112  vfmadd231ps zmm11, zmm24, [rdi+2Ch]{1to16}
 119  vfmadd231ps zmm12, zmm24, [rdi+30h]{1to16}
 120  vfmadd231ps zmm13, zmm24, [rdi+34h]{1to16}
 127  vfmadd231ps zmm14, zmm24, [rdi+38h]{1to16}
 12e  vfmadd231ps zmm15, zmm24, [rdi+3Ch]{1to16}
 135  vfmadd231ps zmm16, zmm24, [rdi+40h]{1to16}
 13c  vfmadd231ps zmm17, zmm24, [rdi+44h]{1to16}
 143  vfmadd231ps zmm18, zmm24, [rdi+48h]{1to16}
 14a  vfmadd231ps zmm19, zmm24, [rdi+4Ch]{1to16}
 151  vfmadd231ps zmm20, zmm24, [rdi+50h]{1to16}
 158  vfmadd231ps zmm21, zmm24, [rdi+54h]{1to16}
 15f  vfmadd231ps zmm22, zmm24, [rdi+58h]{1to16}
 166  vfmadd231ps zmm23, zmm24, [rdi+5Ch]{1to16}
 16d  add rdi, 60h
 171  add rsi, 40h
 175  cmp rdi, rax
 178  jne 00000000000000C0h
 17e  vpxord xmm24, xmm24, xmm24
 184  vmaxps zmm0, zmm0, zmm24
 18a  vminps zmm0, zmm0, [40Ch]{1to16}
 194  vmovups [rdx], zmm0
 19a  vpxor xmm0, xmm0, xmm0
 19e  vmaxps zmm0, zmm1, zmm0
 1a4  vminps zmm0, zmm0, [40Ch]{1to16}
 1ae  vmovups [rdx+40h], zmm0
 1b5  vpxor xmm0, xmm0, xmm0
 1b9  vmaxps zmm0, zmm2, zmm0
 1bf  vminps zmm0, zmm0, [40Ch]{1to16}
 1c9  vmovups [rdx+80h], zmm0
 1d0  vpxor xmm0, xmm0, xmm0
 1d4  vmaxps zmm0, zmm3, zmm0
 1da  vminps zmm0, zmm0, [40Ch]{1to16}
 1e4  vmovups [rdx+0C0h], zmm0
 1eb  vpxor xmm0, xmm0, xmm0
 1ef  vmaxps zmm0, zmm4, zmm0
 1f5  vminps zmm0, zmm0, [40Ch]{1to16}
 1ff  vmovups [rdx+100h], zmm0
 206  vpxor xmm0, xmm0, xmm0
 20a  vmaxps zmm0, zmm5, zmm0
 210  vminps zmm0, zmm0, [40Ch]{1to16}
 21a  vmovups [rdx+140h], zmm0
 221  vpxor xmm0, xmm0, xmm0
 225  vmaxps zmm0, zmm6, zmm0
 22b  vminps zmm0, zmm0, [40Ch]{1to16}
 235  vmovups [rdx+180h], zmm0
 23c  vpxor xmm0, xmm0, xmm0
 240  vmaxps zmm0, zmm7, zmm0
 246  vminps zmm0, zmm0, [40Ch]{1to16}
 250  vmovups [rdx+1C0h], zmm0
 257  vpxor xmm0, xmm0, xmm0
 25b  vmaxps zmm0, zmm8, zmm0
 261  vminps zmm0, zmm0, [40Ch]{1to16}
 26b  vmovups [rdx+200h], zmm0
 272  vpxor xmm0, xmm0, xmm0
 276  vmaxps zmm0, zmm9, zmm0
 27c  vminps zmm0, zmm0, [40Ch]{1to16}
 286  vmovups [rdx+240h], zmm0
 28d  vpxor xmm0, xmm0, xmm0
 291  vmaxps zmm0, zmm10, zmm0
 297  vminps zmm0, zmm0, [40Ch]{1to16}
 2a1  vmovups [rdx+280h], zmm0
 2a8  vpxor xmm0, xmm0, xmm0
 2ac  vmaxps zmm0, zmm11, zmm0
 2b2  vminps zmm0, zmm0, [40Ch]{1to16}
 2bc  vmovups [rdx+2C0h], zmm0
 2c3  vpxor xmm0, xmm0, xmm0
 2c7  vmaxps zmm0, zmm12, zmm0
 2cd  vminps zmm0, zmm0, [40Ch]{1to16}
 2d7  vmovups [rdx+300h], zmm0
 2de  vpxor xmm0, xmm0, xmm0
 2e2  vmaxps zmm0, zmm13, zmm0
 2e8  vminps zmm0, zmm0, [40Ch]{1to16}
 2f2  vmovups [rdx+340h], zmm0
 2f9  vpxor xmm0, xmm0, xmm0
 2fd  vmaxps zmm0, zmm14, zmm0
 303  vminps zmm0, zmm0, [40Ch]{1to16}
 30d  vmovups [rdx+380h], zmm0
 314  vpxor xmm0, xmm0, xmm0
 318  vmaxps zmm0, zmm15, zmm0
 31e  vminps zmm0, zmm0, [40Ch]{1to16}
 328  vmovups [rdx+3C0h], zmm0
 32f  vpxor xmm0, xmm0, xmm0
 333  vmaxps zmm0, zmm16, zmm0
 339  vminps zmm0, zmm0, [40Ch]{1to16}
 343  vmovups [rdx+400h], zmm0
 34a  vpxor xmm0, xmm0, xmm0
 34e  vmaxps zmm0, zmm17, zmm0
 354  vminps zmm0, zmm0, [40Ch]{1to16}
 35e  vmovups [rdx+440h], zmm0
 365  vpxor xmm0, xmm0, xmm0
 369  vmaxps zmm0, zmm18, zmm0
 36f  vminps zmm0, zmm0, [40Ch]{1to16}
 379  vmovups [rdx+480h], zmm0
 380  vpxor xmm0, xmm0, xmm0
 384  vmaxps zmm0, zmm19, zmm0
 38a  vminps zmm0, zmm0, [40Ch]{1to16}
 394  vmovups [rdx+4C0h], zmm0
 39b  vpxor xmm0, xmm0, xmm0
 39f  vmaxps zmm0, zmm20, zmm0
 3a5  vminps zmm0, zmm0, [40Ch]{1to16}
 3af  vmovups [rdx+500h], zmm0
 3b6  vpxor xmm0, xmm0, xmm0
 3ba  vmaxps zmm0, zmm21, zmm0
 3c0  vminps zmm0, zmm0, [40Ch]{1to16}
 3ca  vmovups [rdx+540h], zmm0
 3d1  vpxor xmm0, xmm0, xmm0
 3d5  vmaxps zmm0, zmm22, zmm0
 3db  vminps zmm0, zmm0, [40Ch]{1to16}
 3e5  vmovups [rdx+580h], zmm0
 3ec  vpxor xmm0, xmm0, xmm0
 3f0  vmaxps zmm0, zmm23, zmm0
 3f6  vminps zmm0, zmm0, [40Ch]{1to16}
 400  vmovups [rdx+5C0h], zmm0
 407  vzeroupper
 40a  ret
