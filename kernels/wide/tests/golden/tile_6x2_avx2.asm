   0  lea rax, [rdi+1800h]
   7  vbroadcastss ymm0, [rcx]
   c  vbroadcastss ymm1, [rcx+4]
  12  vbroadcastss ymm2, [rcx+8]
  18  vbroadcastss ymm3, [rcx+0Ch]
  1e  vbroadcastss ymm4, [rcx+10h]
  24  vbroadcastss ymm5, [rcx+14h]
  2a  vmovaps ymm6, ymm0
  2e  vmovaps ymm11, ymm5
  32  vmovaps ymm10, ymm4
  36  vmovaps ymm9, ymm3
  3a  vmovaps ymm8, ymm2
  3e  vmovaps ymm7, ymm1
  42  nop [rax+rax]
  4b  nop [rax+rax]
  54  nop [rax+rax]
  5d  nop [rax+rax]
  66  nop [rax+rax]
  6f  nop [rax+rax]
  78  nop [rax+rax]
  80  vmovups ymm12, [rsi]
  84  vmovups ymm13, [rsi+20h]
  89  vbroadcastss ymm14, [rdi]
  8e  vfmadd231ps ymm0, ymm12, ymm14
  93  vfmadd231ps ymm6, ymm13, ymm14
  98  vbroadcastss ymm14, [rdi+4]
  9e  vfmadd231ps ymm1, ymm12, ymm14
  a3  vfmadd231ps ymm7, ymm13, ymm14
  a8  vbroadcastss ymm14, [rdi+8]
  ae  vfmadd231ps ymm2, ymm12, ymm14
  b3  vfmadd231ps ymm8, ymm13, ymm14
  b8  vbroadcastss ymm14, [rdi+0Ch]
  be  vfmadd231ps ymm3, ymm12, ymm14
  c3  vfmadd231ps ymm9, ymm13, ymm14
  c8  vbroadcastss ymm14, [rdi+10h]
  ce  vfmadd231ps ymm4, ymm12, ymm14
  d3  vfmadd231ps ymm10, ymm13, ymm14
  d8  vbroadcastss ymm14, [rdi+14h]
  de  vfmadd231ps ymm5, ymm12, ymm14
  e3  vfmadd231ps ymm11, ymm13, ymm14
  e8  add rdi, 18h
  ec  add rsi, 40h
  f0  cmp rdi, rax
  f3  jne short 0000000000000080h
  f5  vpxor xmm12, xmm12, xmm12
  fa  vmaxps ymm0, ymm0, ymm12
  ff  vminps ymm0, ymm0, [220h]
 107  vmovups [rdx], ymm0
 10b  vpxor xmm0, xmm0, xmm0
 10f  vmaxps ymm0, ymm6, ymm0
 113  vminps ymm0, ymm0, [220h]
 11b  vmovups [rdx+20h], ymm0
 120  vpxor xmm0, xmm0, xmm0
 124  vmaxps ymm0, ymm1, ymm0
 128  vminps ymm0, ymm0, [220h]
 130  vmovups [rdx+40h], ymm0
 135  vpxor xmm0, xmm0, xmm0
 139  vmaxps ymm0, ymm7, ymm0
 13d  vminps ymm0, ymm0, [220h]
 145  vmovups [rdx+60h], ymm0
 14a  vpxor xmm0, xmm0, xmm0
 14e  vmaxps ymm0, ymm2, ymm0
 152  vminps ymm0, ymm0, [220h]
 15a  vmovups [rdx+80h], ymm0
 162  vpxor xmm0, xmm0, xmm0
 166  vmaxps ymm0, ymm8, ymm0
 16a  vminps ymm0, ymm0, [220h]
 172  vmovups [rdx+0A0h], ymm0
 17a  vpxor xmm0, xmm0, xmm0
 17e  vmaxps ymm0, ymm3, ymm0
 182  vminps ymm0, ymm0, [220h]
 18a  vmovups [rdx+0C0h], ymm0
 192  vpxor xmm0, xmm0, xmm0
 196  vmaxps ymm0, ymm9, ymm0
 19a  vminps ymm0, ymm0, [220h]
 1a2  vmovups [rdx+0E0h], ymm0
 1aa  vpxor xmm0, xmm0, xmm0
 1ae  vmaxps ymm0, ymm4, ymm0
 1b2  vminps ymm0, ymm0, [220h]
 1ba  vmovups [rdx+100h], ymm0
 1c2  vpxor xmm0, xmm0, xmm0
 1c6  vmaxps ymm0, ymm10, ymm0
 1ca  vminps ymm0, ymm0, [220h]
 1d2  vmovups [rdx+120h], ymm0
 1da  vpxor xmm0, xmm0, xmm0
 1de  vmaxps ymm0, ymm5, ymm0
 1e2  vminps ymm0, ymm0, [220h]
 1ea  vmovups [rdx+140h], ymm0
 1f2  vpxor xmm0, xmm0, xmm0
 1f6  vmaxps ymm0, ymm11, ymm0
 1fa  vminps ymm0, ymm0, [220h]
 202  vmovups [rdx+160h], ymm0
 20a  vzeroupper
 20d  ret
