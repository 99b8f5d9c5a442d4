   0  lea rax, [rdi+2000h]
   7  vbroadcastss zmm26, [rcx]
   d  vbroadcastss zmm15, [rcx+4]
  14  vbroadcastss zmm9, [rcx+8]
  1b  vbroadcastss zmm6, [rcx+0Ch]
  22  vbroadcastss zmm3, [rcx+10h]
  29  vbroadcastss zmm0, [rcx+14h]
  30  vbroadcastss zmm23, [rcx+18h]
  37  vbroadcastss zmm12, [rcx+1Ch]
  3e  vmovaps zmm1, zmm23
  44  vmovaps zmm2, zmm0
  4a  vmovaps zmm4, zmm0
  50  vmovaps zmm5, zmm3
  56  vmovaps zmm7, zmm3
  5c  vmovaps zmm8, zmm6
  62  vmovaps zmm10, zmm6
  68  vmovaps zmm11, zmm26
  6e  vmovaps zmm13, zmm26
  74  vmovaps zmm16, zmm9
  7a  vmovaps zmm18, zmm12
  80  vmovaps zmm19, zmm9
  86  vmovaps zmm22, zmm12
  8c  vmovaps zmm27, zmm15
  92  vmovaps zmm30, zmm23
  98  vmovaps zmm31, zmm15
  9e  nop [rax+rax]
  a7  nop [rax+rax]
  b0  nop [rax+rax]
  b9  nop [rax]
  c0  vmovups zmm17, [rsi]
  c6  vmovups zmm20, [rsi+40h]
  cd  vmovups zmm21, [rsi+80h]
  d4  vbroadcastss zmm14, [rdi]
  da  vfmadd231ps zmm13, zmm17, zmm14
  e0  vfmadd231ps zmm11, zmm20, zmm14
  e6  vfmadd231ps zmm26, zmm21, zmm14
  ec  vbroadcastss zmm14, [rdi+4]
  f3  vfmadd231ps zmm31, zmm17, zmm14
  f9  vfmadd231ps zmm27, zmm20, zmm14
  ff  vfmadd231ps zmm15, zmm21, zmm14
 105  vbroadcastss zmm14, [rdi+8]
 10c  vfmadd231ps zmm19, zmm17, zmm14
 112  vfmadd231ps zmm16, zmm20, zmm14
 118  vfmadd231ps zmm9, zmm21, zmm14
 11e  vbroadcastss zmm14, [rdi+0Ch]
 125  vfmadd231ps zmm10, zmm17, zmm14
 12b  vfmadd231ps zmm8, zmm20, zmm14
 131  vfmadd231ps zmm6, zmm21, zmm14
 137  vbroadcastss zmm14, [rdi+10h]
 13e  vfmadd231ps zmm7, zmm17, zmm14
 144  vfmadd231ps zmm5, zmm20, zmm14
 14a  vfmadd231ps zmm3, zmm21, zmm14
 150  vbroadcastss zmm14, [rdi+14h]
 157  vfmadd231ps zmm4, zmm17, zmm14
 15d  vfmadd231ps zmm2, zmm20, zmm14
 163  vfmadd231ps zmm0, zmm21, zmm14
 169  vbroadcastss zmm14, [rdi+18h]
 170  vfmadd231ps zmm1, zmm17, zmm14
 176  vfmadd231ps zmm30, zmm20, zmm14
 17c  vfmadd231ps zmm23, zmm21, zmm14
 182  vbroadcastss zmm14, [rdi+1Ch]
 189  vfmadd231ps zmm22, zmm17, zmm14
 18f  vfmadd231ps zmm18, zmm20, zmm14
 195  vfmadd231ps zmm12, zmm21, zmm14
 19b  add rdi, 20h
 19f  add rsi, 0C0h
 1a6  cmp rdi, rax
 1a9  jne 00000000000000C0h
 1af  vpxord xmm20, xmm20, xmm20
 1b5  vmaxps zmm20, zmm13, zmm20
 1bb  vminps zmm20, zmm20, [46Ch]{1to16}
 1c5  vmovups [rdx], zmm20
 1cb  vpxord xmm20, xmm20, xmm20
 1d1  vmaxps zmm20, zmm11, zmm20
 1d7  vminps zmm20, zmm20, [46Ch]{1to16}
 1e1  vmovups [rdx+40h], zmm20
 1e8  vpxord xmm20, xmm20, xmm20
 1ee  vmaxps zmm20, zmm26, zmm20
 1f4  vminps zmm20, zmm20, [46Ch]{1to16}
 1fe  vmovups [rdx+80h], zmm20
 205  vpxord xmm20, xmm20, xmm20
 20b  vmaxps zmm20, zmm31, zmm20
 211  vminps zmm20, zmm20, [46Ch]{1to16}
 21b  vmovups [rdx+0C0h], zmm20
 222  vpxord xmm20, xmm20, xmm20
 228  vmaxps zmm20, zmm27, zmm20
 22e  vminps zmm20, zmm20, [46Ch]{1to16}
 238  vmovups [rdx+100h], zmm20
 23f  vpxord xmm20, xmm20, xmm20
 245  vmaxps zmm20, zmm15, zmm20
 24b  vminps zmm20, zmm20, [46Ch]{1to16}
 255  vmovups [rdx+140h], zmm20
 25c  vpxord xmm20, xmm20, xmm20
 262  vmaxps zmm19, zmm19, zmm20
 268  vminps zmm19, zmm19, [46Ch]{1to16}
 272  vmovups [rdx+180h], zmm19
 279  vpxord xmm20, xmm20, xmm20
 27f  vmaxps zmm19, zmm16, zmm20
 285  vminps zmm19, zmm19, [46Ch]{1to16}
 28f  vmovups [rdx+1C0h], zmm19
 296  vpxord xmm20, xmm20, xmm20
 29c  vmaxps zmm19, zmm9, zmm20
 2a2  vminps zmm19, zmm19, [46Ch]{1to16}
 2ac  vmovups [rdx+200h], zmm19
 2b3  vpxord xmm20, xmm20, xmm20
 2b9  vmaxps zmm19, zmm10, zmm20
 2bf  vminps zmm19, zmm19, [46Ch]{1to16}
 2c9  vmovups [rdx+240h], zmm19
 2d0  vpxord xmm20, xmm20, xmm20
 2d6  vmaxps zmm19, zmm8, zmm20
 2dc  vminps zmm19, zmm19, [46Ch]{1to16}
 2e6  vmovups [rdx+280h], zmm19
 2ed  vpxord xmm20, xmm20, xmm20
 2f3  vmaxps zmm19, zmm6, zmm20
 2f9  vminps zmm19, zmm19, [46Ch]{1to16}
 303  vmovups [rdx+2C0h], zmm19
 30a  vpxord xmm20, xmm20, xmm20
 310  vmaxps zmm19, zmm7, zmm20
 316  vminps zmm19, zmm19, [46Ch]{1to16}
 320  vmovups [rdx+300h], zmm19
 327  vpxord xmm20, xmm20, xmm20
 32d  vmaxps zmm19, zmm5, zmm20
 333  vminps zmm19, zmm19, [46Ch]{1to16}
 33d  vmovups [rdx+340h], zmm19
 344  vpxord xmm20, xmm20, xmm20
 34a  vmaxps zmm19, zmm3, zmm20
 350  vminps zmm19, zmm19, [46Ch]{1to16}
 35a  vmovups [rdx+380h], zmm19
 361  vpxord xmm20, xmm20, xmm20
 367  vmaxps zmm19, zmm4, zmm20
 36d  vminps zmm19, zmm19, [46Ch]{1to16}
 377  vmovups [rdx+3C0h], zmm19
 37e  vpxord xmm20, xmm20, xmm20
 384  vmaxps zmm19, zmm2, zmm20
 38a  vminps zmm19, zmm19, [46Ch]{1to16}
 394  vmovups [rdx+400h], zmm19
 39b  vpxord xmm20, xmm20, xmm20
 3a1  vmaxps zmm19, zmm0, zmm20
 3a7  vminps zmm19, zmm19, [46Ch]{1to16}
 3b1  vmovups [rdx+440h], zmm19
 3b8  vpxord xmm20, xmm20, xmm20
 3be  vmaxps zmm19, zmm1, zmm20
 3c4  vminps zmm19, zmm19, [46Ch]{1to16}
 3ce  vmovups [rdx+480h], zmm19
 3d5  vpxord xmm20, xmm20, xmm20
 3db  vmaxps zmm19, zmm30, zmm20
 3e1  vminps zmm19, zmm19, [46Ch]{1to16}
 3eb  vmovups [rdx+4C0h], zmm19
 3f2  vpxord xmm20, xmm20, xmm20
 3f8  vmaxps zmm19, zmm23, zmm20
 3fe  vminps zmm19, zmm19, [46Ch]{1to16}
 408  vmovups [rdx+500h], zmm19
 40f  vpxord xmm20, xmm20, xmm20
 415  vmaxps zmm19, zmm22, zmm20
 41b  vminps zmm19, zmm19, [46Ch]{1to16}
 425  vmovups [rdx+540h], zmm19
 42c  vpxord xmm20, xmm20, xmm20
 432  vmaxps zmm19, zmm18, zmm20
 438  vminps zmm19, zmm19, [46Ch]{1to16}
 442  vmovups [rdx+580h], zmm19
 449  vpxord xmm20, xmm20, xmm20
 44f  vmaxps zmm19, zmm12, zmm20
 455  vminps zmm18, zmm19, [46Ch]{1to16}
 45f  vmovups [rdx+5C0h], zmm18
 466  vzeroupper
 469  ret
