   0  lea rax, [rdi+6000h]
   7  vbroadcastss zmm17, [rcx]
   d  vbroadcastss zmm15, [rcx+4]
  14  vbroadcastss zmm29, [rcx+8]
  1b  vbroadcastss zmm25, [rcx+0Ch]
  22  vbroadcastss zmm22, [rcx+10h]
  29  vbroadcastss zmm19, [rcx+14h]
  30  vbroadcastss zmm16, [rcx+18h]
  37  vbroadcastss zmm14, [rcx+1Ch]
  3e  vbroadcastss zmm13, [rcx+20h]
  45  vbroadcastss zmm12, [rcx+24h]
  4c  vbroadcastss zmm11, [rcx+28h]
  53  vbroadcastss zmm10, [rcx+2Ch]
  5a  vbroadcastss zmm9, [rcx+30h]
  61  vbroadcastss zmm8, [rcx+34h]
  68  vbroadcastss zmm7, [rcx+38h]
  6f  vbroadcastss zmm6, [rcx+3Ch]
  76  vbroadcastss zmm5, [rcx+40h]
  7d  vbroadcastss zmm4, [rcx+44h]
  84  vbroadcastss zmm3, [rcx+48h]
  8b  vbroadcastss zmm2, [rcx+4Ch]
  92  vbroadcastss zmm1, [rcx+50h]
  99  vbroadcastss zmm0, [rcx+54h]
  a0  vbroadcastss zmm31, [rcx+58h]
  a7  vbroadcastss zmm28, [rcx+5Ch]
  ae  nop [rax+rax]
  b7  nop [rax+rax]
  c0  vmovups zmm30, [rsi]
  c6  vfmadd231ps zmm17, zmm30, [rdi]{1to16}
  cc  vfmadd231ps zmm15, zmm30, [rdi+4]{1to16}
  d3  vfmadd231ps zmm29, zmm30, [rdi+8]{1to16}
  da  vfmadd231ps zmm25, zmm30, [rdi+0Ch]{1to16}
  e1  vfmadd231ps zmm22, zmm30, [rdi+10h]{1to16}
  e8  vfmadd231ps zmm19, zmm30, [rdi+14h]{1to16}
  ef  vfmadd231ps zmm16, zmm30, [rdi+18h]{1to16}
  f6  vfmadd231ps zmm14, zmm30, [rdi+1Ch]{1to16}
  fd  vfmadd231ps zmm13, zmm30, [rdi+20h]{1to16}
 104  vfmadd231ps zmm12, zmm30, [rdi+24h]{1to16}
 10b  vfmadd231ps zmm11, zmm30, [rdi+28h]{1to16}
 112  vfmadd231ps zmm10, zmm30, [rdi+2Ch]{1to16}
 119  vfmadd231ps zmm9, zmm30, [rdi+30h]{1to16}
 120  vfmadd231ps zmm8, zmm30, [rdi+34h]{1to16}
 127  vfmadd231ps zmm7, zmm30, [rdi+38h]{1to16}
 12e  vfmadd231ps zmm6, zmm30, [rdi+3Ch]{1to16}
 135  vfmadd231ps zmm5, zmm30, [rdi+40h]{1to16}
 13c  vfmadd231ps zmm4, zmm30, [rdi+44h]{1to16}
 143  vfmadd231ps zmm3, zmm30, [rdi+48h]{1to16}
 14a  vfmadd231ps zmm2, zmm30, [rdi+4Ch]{1to16}
 151  vfmadd231ps zmm1, zmm30, [rdi+50h]{1to16}
 158  vfmadd231ps zmm0, zmm30, [rdi+54h]{1to16}
 15f  vfmadd231ps zmm31, zmm30, [rdi+58h]{1to16}
 166  vfmadd231ps zmm28, zmm30, [rdi+5Ch]{1to16}
 16d  add rdi, 60h
 171  add rsi, 40h
 175  cmp rdi, rax
 178  jne 00000000000000C0h
 17e  vpxord xmm26, xmm26, xmm26
 184  vmaxps zmm26, zmm17, zmm26
 18a  vminps zmm26, zmm26, [43Ch]{1to16}
 194  vmovups [rdx], zmm26
 19a  vpxord xmm26, xmm26, xmm26
 1a0  vmaxps zmm26, zmm15, zmm26
 1a6  vminps zmm26, zmm26, [43Ch]{1to16}
 1b0  vmovups [rdx+40h], zmm26
 1b7  vpxord xmm26, xmm26, xmm26
 1bd  vmaxps zmm26, zmm29, zmm26
 1c3  vminps zmm26, zmm26, [43Ch]{1to16}
 1cd  vmovups [rdx+80h], zmm26
 1d4  vpxord xmm26, xmm26, xmm26
 1da  vmaxps zmm25, zmm25, zmm26
 1e0  vminps zmm25, zmm25, [43Ch]{1to16}
 1ea  vmovups [rdx+0C0h], zmm25
 1f1  vpxord xmm26, xmm26, xmm26
 1f7  vmaxps zmm25, zmm22, zmm26
 1fd  vminps zmm25, zmm25, [43Ch]{1to16}
 207  vmovups [rdx+100h], zmm25
 20e  vpxord xmm26, xmm26, xmm26
 214  vmaxps zmm25, zmm19, zmm26
 21a  vminps zmm25, zmm25, [43Ch]{1to16}
 224  vmovups [rdx+140h], zmm25
 22b  vpxord xmm26, xmm26, xmm26
 231  vmaxps zmm25, zmm16, zmm26
 237  vminps zmm25, zmm25, [43Ch]{1to16}
 241  vmovups [rdx+180h], zmm25
 248  vpxord xmm26, xmm26, xmm26
 24e  vmaxps zmm25, zmm14, zmm26
 254  vminps zmm25, zmm25, [43Ch]{1to16}
 25e  vmovups [rdx+1C0h], zmm25
 265  vpxord xmm26, xmm26, xmm26
 26b  vmaxps zmm25, zmm13, zmm26
 271  vminps zmm25, zmm25, [43Ch]{1to16}
 27b  vmovups [rdx+200h], zmm25
 282  vpxord xmm26, xmm26, xmm26
 288  vmaxps zmm25, zmm12, zmm26
 28e  vminps zmm25, zmm25, [43Ch]{1to16}
 298  vmovups [rdx+240h], zmm25
 29f  vpxord xmm26, xmm26, xmm26
 2a5  vmaxps zmm25, zmm11, zmm26
 2ab  vminps zmm25, zmm25, [43Ch]{1to16}
 2b5  vmovups [rdx+280h], zmm25
 2bc  vpxord xmm26, xmm26, xmm26
 2c2  vmaxps zmm25, zmm10, zmm26
 2c8  vminps zmm25, zmm25, [43Ch]{1to16}
 2d2  vmovups [rdx+2C0h], zmm25
 2d9  vpxord xmm26, xmm26, xmm26
 2df  vmaxps zmm25, zmm9, zmm26
 2e5  vminps zmm25, zmm25, [43Ch]{1to16}
 2ef  vmovups [rdx+300h], zmm25
 2f6  vpxord xmm26, xmm26, xmm26
 2fc  vmaxps zmm25, zmm8, zmm26
 302  vminps zmm25, zmm25, [43Ch]{1to16}
 30c  vmovups [rdx+340h], zmm25
 313  vpxord xmm26, xmm26, xmm26
 319  vmaxps zmm25, zmm7, zmm26
 31f  vminps zmm25, zmm25, [43Ch]{1to16}
 329  vmovups [rdx+380h], zmm25
 330  vpxord xmm26, xmm26, xmm26
 336  vmaxps zmm25, zmm6, zmm26
 33c  vminps zmm25, zmm25, [43Ch]{1to16}
 346  vmovups [rdx+3C0h], zmm25
 34d  vpxord xmm26, xmm26, xmm26
 353  vmaxps zmm25, zmm5, zmm26
 359  vminps zmm25, zmm25, [43Ch]{1to16}
 363  vmovups [rdx+400h], zmm25
 36a  vpxord xmm26, xmm26, xmm26
 370  vmaxps zmm25, zmm4, zmm26
 376  vminps zmm25, zmm25, [43Ch]{1to16}
 380  vmovups [rdx+440h], zmm25
 387  vpxord xmm26, xmm26, xmm26
 38d  vmaxps zmm25, zmm3, zmm26
 393  vminps zmm25, zmm25, [43Ch]{1to16}
 39d  vmovups [rdx+480h], zmm25
 3a4  vpxord xmm26, xmm26, xmm26
 3aa  vmaxps zmm25, zmm2, zmm26
 3b0  vminps zmm25, zmm25, [43Ch]{1to16}
 3ba  vmovups [rdx+4C0h], zmm25
 3c1  vpxord xmm26, xmm26, xmm26
 3c7  vmaxps zmm25, zmm1, zmm26
 3cd  vminps zmm25, zmm25, [43Ch]{1to16}
 3d7  vmovups [rdx+500h], zmm25
 3de  vpxord xmm26, xmm26, xmm26
 3e4  vmaxps zmm25, zmm0, zmm26
 3ea  vminps zmm25, zmm25, [43Ch]{1to16}
 3f4  vmovups [rdx+540h], zmm25
 3fb  vpxord xmm26, xmm26, xmm26
 401  vmaxps zmm25, zmm31, zmm26
 407  vminps zmm25, zmm25, [43Ch]{1to16}
 411  vmovups [rdx+580h], zmm25
 418  vpxord xmm26, xmm26, xmm26
 41e  vmaxps zmm25, zmm28, zmm26
 424  vminps zmm24, zmm25, [43Ch]{1to16}
 42e  vmovups [rdx+5C0h], zmm24
 435  vzeroupper
 438  ret
